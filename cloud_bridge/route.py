"""One call of HQ's REST: its path, who may make it, what it takes and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from cloud_bridge.auth import Caller
from cloud_bridge.bodies import Body
from cloud_bridge.names import Role
from cloud_bridge.queries import Query

NO_CONTENT: Final = 204
"""Status of a call that answers nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """One call: its path, who may make it, what it takes and what it answers.

    A call with a `body` gets that, checked, in place of its query. `header` names one that it must carry, and
    `refusals` what it may be refused with beyond what every call may, by status.
    """

    method: str
    path: str
    handler: Callable[[web.Request, Any, Caller], Awaitable[web.StreamResponse]]
    summary: str
    query: type[Query]
    answer: type | None
    item: type | None = None
    role: Role = "viewer"
    body: type[Body] | None = None
    status: int = 200
    header: str | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)
