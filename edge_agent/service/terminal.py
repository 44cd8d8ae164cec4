"""How every command of ours ends: `Error:` and `Try:` on stderr, a status that scripts can read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.contract.errors import (
    AgentUnreachable,
    ConfigError,
    DatabaseAway,
    DeviceError,
    HqUnreachable,
    JournalLocked,
    ShelfEdgeError,
)

FINE, PROBLEM, WRONG_USE, UNREACHABLE = 0, 1, 2, 3

EXTRA_OF = dict.fromkeys(("cv2", "numpy", "onnxruntime", "paho", "serial"), "edge") | {
    "asyncpg": "postgres",
    "llrpkit": "llrp",
}
"""Libraries that a bare install leaves out, and the extra that brings them."""


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn our errors, alone or in a group, into lines for people and an exit status; never a traceback."""
    try:
        yield
    except ShelfEdgeError as error:
        raise SystemExit(tell(error)) from None
    except BaseExceptionGroup as group:
        ours, rest = group.split(ShelfEdgeError)
        if rest is not None or ours is None:
            raise
        raise SystemExit(max(tell(error) for error in leaves(ours))) from None
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise SystemExit(tell(_not_installed(error.name or "", extra))) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(FINE) from None


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End quietly when whoever reads our output has enough (`… | head`)."""
    try:
        yield
    except BrokenPipeError:
        forget_stdout()
        raise SystemExit(FINE) from None


def forget_stdout() -> None:
    """Behind an error of stdout: what is still unwritten would complain at exit and change the status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(error: ShelfEdgeError) -> int:
    """Print one error on stderr; returns the exit status that belongs to it."""
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        for problem in error.problems:
            print(problem, file=sys.stderr)  # noqa: T201  # this is the terminal
        print(f"{len(error.problems)} problems", file=sys.stderr)  # noqa: T201
    else:
        text = error.problems[0] if isinstance(error, ConfigError) else str(error)
        print(f"Error: {text}", file=sys.stderr)  # noqa: T201
    if error.hint:
        print(f"Try: {error.hint}", file=sys.stderr)  # noqa: T201
    if isinstance(error, (HqUnreachable, AgentUnreachable, DatabaseAway, DeviceError)):
        return UNREACHABLE
    return WRONG_USE if isinstance(error, (ConfigError, JournalLocked)) else PROBLEM


def _not_installed(module: str, extra: str) -> ConfigError:
    return ConfigError(
        f"this install has no {module}, which this command needs", hint=f"pip install 'shelf-edge[{extra}]'"
    )


def leaves(group: BaseExceptionGroup[ShelfEdgeError]) -> Iterator[ShelfEdgeError]:
    """The errors inside nested groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
