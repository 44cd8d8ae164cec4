"""Statements that need nothing of each other, sent as one: a small batch is bound by its round trips."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import Any, Final

from cloud_bridge.store.postgres.database import Connection

_PARAMETER: Final = re.compile(r"\$(\d+)")
_FIRST_STEP: Final = re.compile(r"\s*with (\w+) as \((.*?)\n\)(.*)", re.DOTALL)
"""A statement may have one step of its own; its closing bracket stands alone in a line."""


class Together:
    """Takes statements that write and tell nothing; `send` runs them at once, all on the same snapshot.

    So no two of them may touch the same row.
    """

    def __init__(self) -> None:
        self._queries: list[str] = []
        self._arguments: list[Any] = []
        self._counts: list[int] = []

    async def execute(self, query: str, *args: Any) -> str:
        """Keep a statement for `send`."""
        self._queries.append(query)
        self._counts.append(len(args))
        self._arguments += args
        return ""

    async def send(self, connection: Connection) -> None:
        """Run what was kept."""
        if self._queries:
            query = _one_of(tuple(self._queries), tuple(self._counts))
            await connection.execute(query, *self._arguments)


@lru_cache(maxsize=128)
def _one_of(queries: tuple[str, ...], counts: tuple[int, ...]) -> str:
    steps, shift = [], 0
    for n, (query, count) in enumerate(zip(queries, counts, strict=True)):
        moved = _PARAMETER.sub(partial(_moved, by=shift), query)
        own = _FIRST_STEP.fullmatch(moved)
        if own is not None:
            steps.append(f"{own[1]} as ({own[2]})")
        steps.append(f"step_{n} as ({moved if own is None else own[3]})")
        shift += count
    return f"with {', '.join(steps)} select"


def _moved(found: re.Match[str], by: int) -> str:
    return f"${int(found[1]) + by}"
