"""A caller on the private bus, with Python's dbus and GLib's loop. Many calls at once, and signals.

Run as a program, it is a caller of another user (setpriv): an order as JSON on stdin, what came of it as JSON on stdout.
"""

import json
import sys

import dbus
import dbus.bus
import dbus.exceptions
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

NAME = "org.credsync.CredSync1"
PATH = "/org/credsync/CredSync1"
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)


def plain(value):
    """dbus's types as Python's own."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dbus.Boolean):
        return bool(value)
    if isinstance(value, str):
        return str(value)
    return int(value)


class Refused(Exception):
    """An error that came back: its name without the prefix, and its words."""

    def __init__(self, error):
        super().__init__(f"{error.get_dbus_name()}: {error.get_dbus_message()}")
        self.full_name = error.get_dbus_name()
        self.name = self.full_name.rsplit(".", 1)[-1]
        self.words = error.get_dbus_message()


class Client:
    """One connection."""

    def __init__(self, address):
        self.bus = dbus.bus.BusConnection(address)
        self.bus.set_exit_on_disconnect(False)
        self.signals = []   # (name, arguments) of the service's interface
        self.bus.add_match_string_non_blocking(f"type='signal',interface='{NAME}'")
        self.bus.add_message_filter(self._filter)

    def _filter(self, _, message):
        if message.get_type() == dbus.lowlevel.MESSAGE_TYPE_SIGNAL and message.get_interface() == NAME:
            self.signals.append((message.get_member(), plain(message.get_args_list())))
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED

    def send(self, method, signature, arguments, on_end, interface=NAME, path=PATH):
        """on_end(result) gets a list of what came back, or a Refused."""
        self.bus.call_async(NAME, path, interface, method, signature, arguments, lambda *got: on_end(plain(got)),
                            lambda error: on_end(Refused(error)), timeout=60)

    def __call__(self, method, signature="", *arguments, interface=NAME, path=PATH):
        """Waits for the answer: its one value, or the list of them."""
        got = wait_all([lambda end: self.send(method, signature, arguments, end, interface, path)])[0]
        if isinstance(got, Refused):
            raise got
        return got[0] if len(got) == 1 else got

    def token(self, account, **options):
        token, expires, details = self("GetAccessToken", "sa{sv}", account,
                                       dbus.Dictionary({k: dbus.UInt32(v) for k, v in options.items()}, signature="sv"))
        return {**details, "token": token, "expires_at_usec": expires}

    def close(self):
        self.bus.close()


def turn(milliseconds=50):
    """Lets the loop run for a moment, or until something has happened."""
    timer = GLib.timeout_add(milliseconds, lambda: True)
    GLib.MainContext.default().iteration(True)
    GLib.source_remove(timer)


def turn_until(condition, milliseconds=30000):
    over = []
    timer = GLib.timeout_add(milliseconds, lambda: over.append(True) or True)
    while not condition() and not over:
        GLib.MainContext.default().iteration(True)
    GLib.source_remove(timer)
    return bool(condition())


def wait_all(starts, milliseconds=70000):
    """Starts all, and waits for all; their results in order."""
    results = [None] * len(starts)
    for index, start in enumerate(starts):
        start(lambda result, at=index: results.__setitem__(at, result))
    if not turn_until(lambda: None not in results, milliseconds):
        raise AssertionError(f"{results.count(None)} calls had no answer")
    return results


def main():
    order = json.load(sys.stdin)
    client = Client(order["address"])
    answers = []
    for method, signature, arguments, *interface in order["calls"]:
        given = [dbus.Dictionary({k: dbus.UInt32(v) for k, v in a.items()}, signature="sv") if isinstance(a, dict) else a
                 for a in arguments]
        try:
            answers.append({"result": client(method, signature, *given, interface=interface[0] if interface else NAME)})
        except Refused as refused:
            answers.append({"error": refused.full_name, "words": refused.words})
    if order.get("listen"):
        print(json.dumps("listening"), flush=True)
        # Until told to end: stdin is at its end, so a signal that is for nobody else says so.
        turn_until(lambda: client.signals and order["listen"] in json.dumps(client.signals), 60000)
    print(json.dumps({"answers": answers, "signals": client.signals, "name": client.bus.get_unique_name()}))


if __name__ == "__main__":
    main()
