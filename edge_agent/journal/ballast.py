"""Room on the disk that is kept for stock: a file of real blocks that is given up when the disk is full."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from pathlib import Path

log = logging.getLogger(__name__)

ROOM_TO_MAKE = 4
"""It is made (again) when so many times its size are free."""


class Ballast:
    """One file of `size_bytes`; 0: none is kept, and one of somebody else's is not given up.

    Any thread may call.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path, self._size = path, size_bytes
        self._lock = threading.Lock()

    @property
    def is_missing(self) -> bool:
        """True where one is wanted and not there: the disk is, or was just now, full."""
        return self._size > 0 and not self._is_held()

    def make(self) -> bool:
        """Have it as large as it should be. False when there is too little room for it."""
        with self._lock:
            if self._size == 0:
                self._path.unlink(missing_ok=True)
                return True
            if self._is_held():
                return True
            if shutil.disk_usage(self._path.parent).free < ROOM_TO_MAKE * self._size:
                return False
            return self._written()

    def release(self) -> bool:
        """Give its blocks back to the disk. False when there was nothing to give."""
        if self._size == 0:
            return False
        with self._lock:
            try:
                self._path.unlink()
            except FileNotFoundError:
                return False
            except OSError as error:
                log.warning("the ballast cannot be given up: %s", error)
                return False
        log.error("the disk is full: the ballast (%d MB) was given up for stock", self._size // 2**20)
        return True

    def _is_held(self) -> bool:
        try:
            return self._path.stat().st_size == self._size
        except OSError:
            return False

    def _written(self) -> bool:
        part = self._path.with_suffix(".part")
        try:
            with part.open("wb") as blocks:
                os.posix_fallocate(blocks.fileno(), 0, self._size)
            part.replace(self._path)
        except OSError as error:
            part.unlink(missing_ok=True)
            log.debug("no ballast: %s", error)
            return False
        return True
