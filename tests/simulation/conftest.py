"""Where histories are lived: on a file system in memory where there is one, with a small backlog."""

from __future__ import annotations

import gc
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BACKLOG_ROWS = 8
"""Stands in for 500 rows: a larger backlog sends the present first."""
IN_MEMORY = Path("/dev/shm")  # noqa: S108  # made by the system, and the folder in it is ours alone


@pytest.fixture(scope="session")
def scratch() -> Iterator[Callable[[], Path]]:
    """Gives a new folder's name; all of them go at the end."""
    root = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    try:
        yield lambda: Path(tempfile.mkdtemp(dir=root)) / "world"
    finally:
        shutil.rmtree(root)


@pytest.fixture(autouse=True)
def _small_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.sync.uplink.FRESHEST_FIRST_ROWS", BACKLOG_ROWS)
    monkeypatch.setattr("cloud_bridge.store.sqlite.hello.RESTATED_ABOVE_ROWS", BACKLOG_ROWS)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Troubles are what this is about: no log of them, and no collector between thousands of small worlds."""
    logging.disable(logging.CRITICAL)
    gc.disable()
    yield
    gc.enable()
    logging.disable(logging.NOTSET)
