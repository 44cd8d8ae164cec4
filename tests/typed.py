"""A command as a person types it, through its entry point, in this process: starting one costs a second."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple
from unittest.mock import patch

import pytest


class Ended(NamedTuple):
    """What a command leaves."""

    status: int
    out: str
    err: str


def typed(main: Callable[[], None], *words: str) -> Ended:
    """Run `main`; a test of its stdin, of signals or of what it writes meanwhile needs a process."""
    out, err, argv = StringIO(), StringIO(), patch.object(sys, "argv", ["command", *words])
    with redirect_stdout(out), redirect_stderr(err), argv, _own_log(), pytest.raises(SystemExit) as ended:
        main()
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())


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
