"""Manual pages: well formed, for every program and file that people meet, and none leads to one that is not there."""

import glob
import os
import re
import subprocess
import sys

# Every program in the path, every kind of file, the bus's interface, the units.
WANTED = ("credsync.1", "credsyncd.8", "credsyncd.service.8", "credsyncd.socket.8", "credsyncd.toml.5", "credsyncd.providers.5",
          "org.credsync.CredSync1.5")


def problems(root):
    folder = os.path.join(root, "docs", "man")
    pages = {os.path.basename(path): open(path, encoding="utf-8").read() for path in glob.glob(folder + "/*.[1-9]")}
    for name in sorted(set(WANTED) - set(pages)):
        yield f"{name} is missing"
    for name, text in sorted(pages.items()):
        if text.startswith(".so "):
            target = os.path.basename(text.split()[1])
            if text.split()[1] != f"man{target[-1]}/{target}" or target not in pages:
                yield f"{name}: leads to {text.split()[1]}, which is not there"
            continue
        done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", os.path.join(folder, name)], capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode or done.stdout or done.stderr:
            yield done.stdout + done.stderr
        for page, section in re.findall(r"^\.Xr (\S+) (\d)", text, re.M):
            ours = page.startswith("credsync") or page.startswith("org.credsync")
            if ours and f"{page}.{section}" not in pages:
                yield f"{name}: refers to {page}({section}), which is not there"


def main():
    found = list(problems(sys.argv[1]))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
