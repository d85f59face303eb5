"""Programs that behave as ssh, scp and adb do, towards a folder of this machine.

Each is a script of the shell: what it is given as words and on stdin is what the real one sends to
the other side, whose home is a folder of the test. What they say when they fail was seen with
OpenSSH 9.2p1 and adb 29.0.6 of Debian 12.
"""

import os
import sys
from pathlib import Path

SSH = r"""#!/bin/sh
printf '%s\n' "$*" >> "{log}"
while [ "$1" != -- ]; do shift; done
shift 2
cd "{home}" && HOME="{home}" exec sh -c "$*"
"""
SCP = r"""#!/bin/sh
printf '%s\n' "$*" >> "{log}"
while [ "$1" != -- ]; do shift; done
shift
for last; do :; done
case $last in
  *:*) to="{home}/${{last#*:}}"; while [ $# -gt 1 ]; do cp -r "$1" "$to" || exit 1; shift; done ;;
  *) cp -r "{home}/${{1#*:}}" "$last" ;;
esac
"""
# Of adb: each device has a state, and only `device` lets anybody in.
ADB = r"""#!/bin/sh
printf '%s\n' "$*" >> "{log}"
serial=$2
case $serial in
  good*) ;;
  locked) echo 'error: device unauthorized.' >&2
    echo "This adb server's \$ADB_VENDOR_KEYS is not set" >&2
    echo "Try 'adb kill-server' if that seems wrong." >&2
    echo 'Otherwise check for a confirmation dialog on your device.' >&2; exit 1 ;;
  asleep) echo 'error: device offline' >&2; exit 1 ;;
  *) echo "error: device '$serial' not found" >&2; exit 1 ;;
esac
shift 2
case $1 in
  shell) shift; cd "{home}" || exit 1
    [ "$serial" = good-old ] || exec sh -c "$*"
    sh -c "$*" 2>&1 | sed -u 's/$/\r/'; exit 0 ;;
  push) shift; for last; do :; done
    while [ $# -gt 1 ]; do cp -r "$1" "$last" || exit 1; shift; done
    echo '1 file pushed, 0 skipped.' ;;
  pull) cp -r "$2" "$3" ;;
esac
"""
# An interpreter of the other machine; `-m harness cell FILE --out DIR` is answered by a null cell.
PYTHON = r"""#!/bin/sh
PYTHONPATH="{root}"; export PYTHONPATH
case "$*" in
  "-P -m harness cell "*) exec "{python}" "{null}" "$@" ;;
  *) exec "{python}" "$@" ;;
esac
"""
ROOT = Path(__file__).parents[3]


def write_program(folder: Path, name: str, text: str, **words: object) -> Path:
    """Write an executable script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text.format(**words) if words else text, encoding="utf-8")
    path.chmod(0o755)
    return path


def pretend(monkeypatch, tmp_path: Path) -> Path:
    """Put such programs first in PATH; the home of the other machine, beside it `log` of words."""
    home = tmp_path / "its home"
    home.mkdir()
    for name, text in (("ssh", SSH), ("scp", SCP), ("adb", ADB)):
        write_program(tmp_path / "bin", name, text, home=home, log=tmp_path / "log")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return home


def null_python(folder: Path) -> Path:
    """An interpreter with bench whose cells measure nothing; its path holds a space."""
    null = Path(__file__).with_name("null_cell.py")
    return write_program(
        folder / "a python's", "python3", PYTHON, root=ROOT, python=sys.executable, null=null
    )
