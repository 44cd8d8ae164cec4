"""A command as a person types it, through its entry point, in this process: starting one costs a second."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from tempfile import TemporaryFile
from typing import IO, NamedTuple
from unittest.mock import patch

import pytest


class Ended(NamedTuple):
    """What a command leaves."""

    status: int
    out: str
    err: str


def typed(main: Callable[[], None], *words: str) -> Ended:
    """Run `main`; a test of its stdin, of signals or of what it writes meanwhile needs a process."""
    argv = patch.object(sys, "argv", ["command", *words])
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        with redirect_stdout(out), redirect_stderr(err), argv, _own_log(), pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), _whole(out), _whole(err))


def _whole(said: IO[str]) -> str:
    said.flush()
    said.seek(0)
    return said.read()


@contextmanager
def _own_log() -> Iterator[None]:
    """What the command sets up for its log ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
