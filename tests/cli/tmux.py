"""A person in front of tmux: a real terminal emulator, whose panes are looked at as they are drawn."""

import os
import shutil
import subprocess
import time

TIMEOUT = 60


def runs(pid):
    """Also where nobody collects the dead, as in some containers."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Tmux:
    """One pane of its own server. Every command of `environment` is set inside it."""

    def __init__(self, case, environment, columns=100, rows=50):
        self.case = case
        self.socket = os.path.join(case.directory, f"tmux-{id(self)}")
        self.environment = environment
        shell = "env -i " + " ".join(f"'{k}={v}'" for k, v in environment.items() if k != "TERM") + \
            " TERM=$TERM HISTFILE= PS1='ready> ' bash --norc --noprofile"
        self.run("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), shell)
        self.processes = []
        case.addCleanup(self.close)
        self.processes = self.run("display-message", "-p", "#{pid} #{pane_pid}").stdout.decode().split()
        self.expect("ready>")

    def close(self):
        """To the end of the server and of the shell: their files are in the test's directory."""
        self.run("kill-server", check=False)
        end = time.monotonic() + TIMEOUT
        while any(map(runs, self.processes)) and time.monotonic() < end:
            time.sleep(0.02)

    def run(self, *arguments, check=True, **options):
        # LC_ALL: tmux itself draws UTF-8 whatever the pane's programs think.
        return subprocess.run(["tmux", "-S", self.socket, *arguments], check=check, capture_output=True, timeout=TIMEOUT,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}, **options)

    def pane(self, colours=False, history=False, spaces=False):
        options = ["-e"] * colours + ["-S", "-"] * history + ["-N"] * spaces
        return self.run("capture-pane", "-p", *options).stdout.decode()

    def lines(self):
        return [line.rstrip() for line in self.pane().splitlines()]

    def type(self, text):
        self.run("send-keys", "-l", "--", text)

    def key(self, *names):
        self.run("send-keys", *names)

    def paste(self, text):
        """As with the mouse: marked as a paste, if the program asked for that."""
        self.run("load-buffer", "-", input=text.encode())
        self.run("paste-buffer", "-p", "-r")

    def resize(self, columns, rows):
        self.run("resize-window", "-x", str(columns), "-y", str(rows))

    def command(self, line):
        self.type(line)
        self.key("Enter")

    def until(self, condition, what):
        end = time.monotonic() + TIMEOUT
        while not condition(self):
            if time.monotonic() > end:
                raise AssertionError(f"not seen: {what}; the pane shows:\n{self.pane()}")
            time.sleep(0.02)  # tmux tells nobody when a pane was drawn
        return self

    def expect(self, text):
        return self.until(lambda t: text in t.pane(), text)


def available():
    return shutil.which("tmux") is not None
