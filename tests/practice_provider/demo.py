#!/usr/bin/python3 -B
"""Writes a configuration directory that runs the daemon against a practice provider: accounts of each mission provider.

    demo.py --dir DIR --provider PROVIDER_DIR [--socket PATH] [--user NAME]...

DIR gets credsyncd.toml, providers.d/practice.toml, accounts.d/*.toml with their secret files, and imports/: one file a
token that a person would paste, and imports/list with a line "ACCOUNT OPTION FILE" for each, for

    credsync login ACCOUNT OPTION < FILE

Besides these there are accounts that a person signs in to in a browser, and DIR/allow: a "browser" for $BROWSER that presses
Allow at the practice provider's page, for machines without one.
"""

import argparse
import os
import pwd
import shlex
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import profiles  # noqa: E402
from control import PracticeProvider  # noqa: E402
from profiles import toml  # noqa: E402

CLIENT, SECRET = "demo-client", "demo-secret"
USER, PASSWORD = "demo@example.com", "demo-password"
FLAT_SCOPES = ["account.public_profile", "scores"]
EXAMPLE_LIFETIME = 3600   # as its document says: the token cannot be refreshed, 90 s would be no demonstration
GRACE = "5s"
DEVICE_INTERVAL = 2       # seconds between polls: the person who demonstrates is quick
# Where the browser comes back to: these providers compare the whole address, so each account has a port of its own.
PORTS = {"flat-code": 8471, "flat-implicit": 8472, "fflogs-user": 8473, "example-code": 8474}
HERE = os.path.dirname(os.path.abspath(__file__))
ALL_ACTIONS = ["get", "watch", "refresh", "login", "admin"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", required=True, help="the configuration directory to write")
    parser.add_argument("--provider", required=True, help="the directory of a running practice provider")
    parser.add_argument("--base-url", help="default: the provider's own")
    parser.add_argument("--ca", help="default: the provider's own CA file")
    parser.add_argument("--socket", help="of the daemon; default: DIR/run/api.sock")
    parser.add_argument("--user", action="append", help="who may use the accounts; default: who runs this")
    return parser.parse_args()


def write(path, text, mode=0o644):
    """Files of a configuration: never writable by others, secrets readable by nobody else."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.fchmod(descriptor, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)


def invokers():
    """The user who runs this, also behind sudo."""
    uids = {os.getuid(), int(os.environ.get("SUDO_UID", os.getuid()))}
    return [pwd.getpwuid(uid).pw_name for uid in sorted(uids)]


def daemon_config(socket, ca_file, users):
    lines = ["[listen]", f"http = {toml(socket)}", 'dbus = "off"', "",
             "[defaults]", f"ca_file = {toml(ca_file)}   # trust the practice provider, and for these accounts nobody else", ""]
    for user in users:
        lines += ["[[defaults.allow]]", f"user = {toml(user)}", f"actions = {toml(ALL_ACTIONS)}", ""]
    return "\n".join(lines)


def account(name, **keys):
    return "\n".join([f"[account.{name}]", *(f"{key} = {toml(value)}" for key, value in keys.items()), ""])


def accounts(base_url):
    """The text of each account's file."""
    host = base_url.removeprefix("https://")   # a variable without default in the profile, though the URLs are laid over
    client = {"client_id": CLIENT, "client_secret": {"file": "client.secret"}}
    return {
        "flat-pat": account("flat-pat", provider="flat", grant="static"),
        "flat": account("flat", provider="flat", grant="refresh_token", **client, scopes=FLAT_SCOPES,
                        revoke_superseded="always", revoke_grace=GRACE),
        "flume": account("flume", provider="flume", grant="password", **client, username=USER,
                         password={"file": "flume.password"}),
        "fflogs": account("fflogs", provider="fflogs", grant="client_credentials", **client),
        "example": account("example", provider="example", grant="static", vars={"host": host}),
        **interactive(client, host),
    }


def interactive(client, host):
    """Accounts that need a person."""
    text = lambda name, **keys: account(name, **keys, **client, **({"redirect_port": PORTS[name]} if name in PORTS else {}))
    code = {"grant": "authorization_code"}
    return {
        "flat-code": text("flat-code", provider="flat", **code, scopes=FLAT_SCOPES),
        "flat-implicit": text("flat-implicit", provider="flat", grant="implicit", scopes=FLAT_SCOPES),
        "fflogs-user": text("fflogs-user", provider="fflogs", **code),
        "example-code": text("example-code", provider="example", **code, vars={"host": host}),
        "device": text("device", provider="device", grant="device_code", scopes=["openid", "reports"]),
    }


def allower(ca_file):
    return f'#!/bin/sh\nexec /usr/bin/python3 -B {shlex.quote(os.path.join(HERE, "allow.py"))} --ca {shlex.quote(ca_file)} "$@"\n'


def imports(provider):
    """What a person would paste: (account, option of `credsync login`, secret)."""
    scope = " ".join(FLAT_SCOPES)
    provider.switch("example", lifetime=EXAMPLE_LIFETIME)
    provider.switch("rfc/demo", device_interval=DEVICE_INTERVAL)
    return [
        ("flat-pat", "--token-stdin", provider.pat("flat", scope=scope)),
        ("flat", "--refresh-token-stdin", provider.issue("flat", scope=scope)["refresh_token"]),
        ("example", "--token-stdin", provider.issue("example", kind="access")["access_token"]),
    ]


def write_all(options, provider):
    directory = os.path.abspath(options.dir)
    for name, mode in (("", 0o755), ("providers.d", 0o755), ("accounts.d", 0o755), ("run", 0o755), ("imports", 0o700)):
        os.makedirs(os.path.join(directory, name), mode=mode, exist_ok=True)
    place = lambda *parts: os.path.join(directory, *parts)
    socket = os.path.abspath(options.socket) if options.socket else place("run", "api.sock")
    ca_file = os.path.abspath(options.ca or provider.ca_file)
    write(place("credsyncd.toml"), daemon_config(socket, ca_file, options.user or invokers()))
    base_url = options.base_url or provider.base_url
    write(place("providers.d", "practice.toml"), profiles.overrides(base_url))
    write(place("providers.d", "device.toml"), profiles.rfc("device", base_url, "rfc/demo", {"title": "Practice devices"}))
    write(place("allow"), allower(ca_file), 0o755)
    for name, text in accounts(base_url).items():
        write(place("accounts.d", f"{name}.toml"), text)
    write(place("accounts.d", "client.secret"), SECRET + "\n", 0o600)
    write(place("accounts.d", "flume.password"), PASSWORD + "\n", 0o600)
    lines = []
    for name, option, secret in imports(provider):
        path = place("imports", f"{name}.token")
        write(path, secret + "\n", 0o600)
        lines.append(f"{name} {option} {path}\n")
    write(place("imports", "list"), "".join(lines), 0o600)


def main():
    options = arguments()
    provider = PracticeProvider.attach(os.path.abspath(options.provider))
    try:
        write_all(options, provider)
    finally:
        provider.stop()


if __name__ == "__main__":
    main()
