"""One call of HQ's REST: its path, who may make it, what it takes and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from cloud_bridge.auth import Caller
from cloud_bridge.bodies import Body
from cloud_bridge.names import Role
from cloud_bridge.queries import Query


@dataclass(frozen=True, slots=True)
class Route:
    """One call: its path, who may make it, what it takes and what it answers.

    A call with a `body` gets that, checked, in place of its query.
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
