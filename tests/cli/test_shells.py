"""Completion in the shells themselves, installed where each of them looks."""

import os
import shutil
import subprocess
import unittest

from fake_daemon import ok
from harness import CREDSYNC, CliTest, status
from tmux import Tmux, available

BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
# Where each shell looks below the user's own data, which stands here for the system's.
PLACES = {"bash": "bash-completion/completions/credsync", "zsh": "zsh/_credsync",
          "fish": "fish/vendor_completions.d/credsync.fish"}

NO_SOCKET = "/nonexistent"

# What is typed, and what must be offered.
OFFERS = (
    ("credsync tok", ["token"]),
    ("credsync re", ["refresh", "reject", "reload"]),
    ("credsync token f", ["flat-me", "flume"]),
    ("credsync status flu", ["flume"]),
    ("credsync token flume --f", ["--format"]),
    ("credsync token flume --format h", ["header"]),
    ("credsync completion ", ["bash", "fish", "zsh"]),
    ("credsync account ", ["add", "list", "remove"]),
    ("credsync account remove flu", ["flume"]),
    ("credsync account add new --gra", ["--grant"]),
    ("credsync account add new --grant dev", ["device_code"]),
    ("credsync account add new --provider tw", ["twitch"]),
    ("credsync providers tw", ["twitch"]),
    ("credsync login flume --dev", ["--device"]),
    ("credsync log --si", ["--since"]),
    ("credsync --socket {socket} token flu", ["flume"]),
    ("credsync --socket {socket} acc", ["account"]),
    ("credsync exec flume -- setpri", ["setpriv"]),
    ("credsync exec flume -- sort --rev", ["--reverse"]),
)


class ShellsTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[("GET", "/v1/accounts")] = ok({"accounts": [status("flat-me"), status("flume")]})
        self.daemon.routes[("GET", "/v1/providers")] = ok({"providers": [
            {"id": name, "title": name.title(), "docs": "", "grants": ["password"]} for name in ("flat", "twitch")]})
        self.data = os.path.join(self.directory, "data")
        for shell, place in PLACES.items():
            path = os.path.join(self.data, place)
            os.makedirs(os.path.dirname(path))
            with open(path, "w", encoding="utf-8") as script:
                script.write(self.credsync("completion", shell).out)

    def surroundings(self, **more):
        return self.environment(PATH=os.path.dirname(CREDSYNC) + ":" + os.environ["PATH"], XDG_DATA_HOME=self.data,
                                XDG_DATA_DIRS=self.data + ":/usr/share", XDG_CONFIG_HOME=self.directory, ZDOTDIR=self.directory, **more)

    def need(self, *programs):
        for program in programs:
            if shutil.which(program) is None:
                self.skipTest(f"no {program} here")

    def check(self, offered, offers=OFFERS):
        """`offered` types a line, and says which words are offered for its last one, in the order of the alphabet."""
        for line, wanted in offers:
            with self.subTest(line):
                named = "{socket}" in line  # then the surroundings' one must not be asked
                environment = self.surroundings(**({"CREDSYNC_SOCKET": NO_SOCKET} if named else {}))
                self.assertEqual(offered(line.format(socket=self.socket), environment), wanted)

    def test_fish(self):
        self.need("fish")
        def offered(line, environment):
            done = subprocess.run(["fish", "--private", "-c", "complete -C $argv[1]", line], env=environment,
                                  capture_output=True, check=True, timeout=60)
            self.assertEqual(done.stderr, b"")
            return sorted(offer.split("\t")[0] for offer in done.stdout.decode().splitlines())
        self.check(offered)

    def test_bash(self):
        """Read by bash-completion as at the first Tab; what is offered is asked of the function that was registered. The command
        of exec is completed by bash-completion, which works at a terminal only."""
        self.need("bash")
        if not os.path.exists(BASH_COMPLETION):
            self.skipTest("no bash-completion here")
        program = f"""
            . {BASH_COMPLETION}
            _completion_loader credsync || [ $? = 124 ] || exit 1
            read -ra COMP_WORDS <<<"$1"
            [[ $1 == *' ' ]] && COMP_WORDS+=('')
            COMP_LINE=$1 COMP_POINT=${{#1}} COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            set -- $(complete -p credsync)
            while [ "$1" != -F ]; do shift; done
            "$2" credsync "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """

        def offered(line, environment):
            done = subprocess.run(["bash", "--norc", "-c", program, "bash", line], env=environment,
                                  capture_output=True, check=True, timeout=60)
            self.assertEqual(done.stderr, b"")
            return sorted(done.stdout.decode().split())
        self.check(offered, [(line, wanted) for line, wanted in OFFERS if " -- " not in line])

    def test_bash_at_a_terminal(self):
        self.need("bash")
        if not available() or not os.path.exists(BASH_COMPLETION):
            self.skipTest("no tmux or no bash-completion here")
        terminal = Tmux(self, self.surroundings())
        terminal.command(f". {BASH_COMPLETION}")
        for part in ("credsync exe", "flu", "-- setpri", "--reui"):
            terminal.type(part)
            terminal.key("Tab")
        terminal.expect("credsync exec flume -- setpriv --reuid")

    def test_zsh(self):
        """zsh completes in its line editor only: in a terminal of its own, whose every offer is caught on its way there. What is
        typed before the editor has the terminal would be edited by the terminal's driver, which takes the end of the line, and
        with it the Tab, away: the editor says when it is there."""
        self.need("zsh")
        with open(os.path.join(self.directory, ".zshrc"), "w", encoding="utf-8") as settings:
            settings.write("PS1='zsh> '\n"
                           f"fpath=({self.data}/zsh $fpath)\n"
                           "autoload -Uz compinit && compinit -u -D\n")
        program = r"""
            zmodload zsh/zpty
            zpty shell zsh -i
            zpty -w shell 'bindkey "^I" complete-word; LISTMAX=1000; unsetopt always_last_prompt; setopt no_beep; PS1=;
              compadd() {
                local -a offers filtered; local name
                if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
                builtin compadd -A filtered "$@"
                for name in $filtered; do print -r -- "offer:$name:" >> $OFFERS; done
                builtin compadd "$@"
              }
              zle-line-init() { print -n re""ady }; zle -N zle-line-init'
            zpty -r -m shell output '*ready*'
            zpty -w -n shell "$1"$'\t'
            zpty -w -n shell $'\x15print do""ne\n'
            zpty -r -m shell output '*done*'
        """
        offers = os.path.join(self.directory, "offers")

        def offered(line, environment):
            with open(offers, "w", encoding="utf-8"):
                pass
            subprocess.run(["zsh", "-f", "-c", program, "zsh", line], env=environment | {"OFFERS": offers},
                           capture_output=True, check=True, timeout=60)
            with open(offers, encoding="utf-8") as caught:
                return sorted({offer.split(":")[1] for offer in caught.read().split()})
        self.check(offered)


if __name__ == "__main__":
    unittest.main()
