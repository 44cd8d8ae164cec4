"""What the operating system shows of a serial port: what is behind its name, names like it, who holds it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

Mark = tuple[int, int, int]
"""One appearance of a port: device number, inode, and when owner or mode were last set."""

NAMES_SHOWN = 3

_PLUGGED = re.compile(r"tty(USB|ACM|XRUSB|AMA)\d+")


def mark_of(port: str) -> Mark | None:
    """What is behind the name `port` now, symbolic links followed; None while nothing is.

    It changes when the device is plugged in again, even as the same tty, and when udev has given the port
    its group: devtmpfs and devpts make a new inode each time.
    """
    try:
        found = Path(port).stat()
    except (OSError, ValueError):
        return None
    return found.st_rdev, found.st_ino, found.st_ctime_ns


def absent_hint(port: str) -> str:
    """What to try when `port` is absent: names that are there and look like it, else those that are there."""
    names = _names_beside(Path(port))
    if not names:
        return "plug the device in; `ls -l /dev/serial/by-id` shows ports"
    close = get_close_matches(Path(port).name, names, n=1, cutoff=0.7)
    if close:
        return f"plug the device in, or did you mean {Path(port).with_name(close[0])}?"
    shown = ", ".join(str(Path(port).with_name(name)) for name in names[:NAMES_SHOWN])
    return f"plug the device in; there is {shown}{' and more' if len(names) > NAMES_SHOWN else ''}"


def held_hint(port: str) -> str:
    """Whom to stop when another program has `port` open."""
    holders = [process for process in _processes() if _has_open(process, os.path.realpath(port))]
    others = [process for process in holders if process != os.getpid()]
    if others:
        return f"stop {_name_of(others[0])} (process {others[0]}), which has it open"
    if holders:
        return "another device of this configuration has it, perhaps by another name: compare their ports"
    return "stop the program that uses the port"


def _names_beside(port: Path) -> list[str]:
    try:
        names = sorted(entry.name for entry in port.parent.iterdir() if entry.is_char_device())
    except OSError:
        return []
    return [name for name in names if _PLUGGED.fullmatch(name)] if port.parent == Path("/dev") else names


def _processes() -> Iterator[int]:
    with suppress(OSError):
        yield from (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _has_open(process: int, target: str) -> bool:
    with suppress(OSError):  # processes end, and those of other users do not show their files
        return any(os.path.realpath(fd) == target for fd in Path("/proc", str(process), "fd").iterdir())
    return False


def _name_of(process: int) -> str:
    with suppress(OSError):
        return Path("/proc", str(process), "comm").read_text(encoding="utf-8", errors="replace").strip()
    return "the program"
