"""What is said of commands and published documents, whatever database keeps them."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

from cloud_bridge.errors import PreconditionFailed
from cloud_bridge.store.records import CommandRecord, Published, PublishedRecord
from edge_agent.contract.messages import Command
from edge_agent.contract.times import parse_rfc3339

AT_ONCE: Final = 100
COUNTED_AGAIN: Final = "the facing was counted again before this was handed out"
GATEWAY_REPLACED: Final = "handed out to a gateway whose memory is gone; nobody knows whether it was done"
NEVER: Final = "9999-12-31T23:59:59.999Z"
SUPERSEDED: Final = "a newer one was published before this was done"
RESET: Final = "somebody at the store went back to the file's planogram"


def number_after(last: int, issued_at: str) -> int:
    """The number of a command: milliseconds since 1970 where that rises.

    So a database that was restored from a backup does not give a number again that an agent has passed.
    """
    return max(last + 1, _ms(issued_at))


def as_told(id_: bytes, kind: str, body: str, issued_at: str, *, now: str) -> Command:
    """A command as its agent is handed it."""
    age_ms = max(0, _ms(now) - _ms(issued_at))
    return Command(id=id_.hex(), kind=kind, age_ms=age_ms, body=json.loads(body))


def document_order(
    store: str, kind: Published, body: dict[str, Any], *, revision: int, by: str, at: str
) -> CommandRecord:
    """The command that carries a published document to its store."""
    text = json.dumps({"revision": revision, **body}, ensure_ascii=False)
    return CommandRecord(secrets.token_hex(16), store, kind, text, by, at, NEVER)


def require_newest(newest: int, expected: int) -> None:
    """PreconditionFailed when `expected` is not the newest revision."""
    if expected != newest:
        raise PreconditionFailed(
            f"the newest revision is {newest}, not {expected}", hint="GET it again, somebody has published"
        )


def published_record(row: tuple[int, str, str | None, int] | None, applied: int | None) -> PublishedRecord:
    """A document as its table has it (revision, body, reason, newest told revision) and the one in use."""
    revision, body, reason, told = row or (0, "{}", None, 0)
    return PublishedRecord(revision, max(revision, told, applied or 0), json.loads(body), applied, reason)


def _ms(at: str) -> int:
    return round(parse_rfc3339(at).timestamp() * 1000)
