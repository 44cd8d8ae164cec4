"""RFC 3339 in UTC with milliseconds, the only time format on the wire."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`2026-11-22T10:00:00.123Z`; `moment` must be aware."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def parse_rfc3339(text: str) -> datetime:
    """An aware UTC datetime; finer than microseconds is cut off. ValueError when there is no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no offset; write it in UTC with a trailing Z")
    return moment.astimezone(UTC)


def utc_now() -> datetime:
    """The wall clock. Pure parts never call it: time reaches them as an argument."""
    return datetime.now(UTC)
