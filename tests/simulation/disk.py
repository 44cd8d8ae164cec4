"""What a power cut leaves of an SQLite file: the file and its log as they are in the middle of running."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path


@cache
def fresh(make: Callable[[Path], None]) -> bytes:
    """The file that `make` makes: the same schema need not be written for every history."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fresh"
        make(file)
        return file.read_bytes()


def image(file: Path, into: Path) -> None:
    """Copy what is durable of `file` to `into`, which may be a running file's own name no more."""
    for suffix in ("", "-wal"):
        source, target = Path(f"{file}{suffix}"), Path(f"{into}{suffix}")
        if source.exists():
            shutil.copyfile(source, target)
        else:
            target.unlink(missing_ok=True)
    Path(f"{into}-shm").unlink(missing_ok=True)
