"""The agent's API for one facing: `GET /v1/facings/{id}`, why so many are believed to lie there."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from functools import partial
from heapq import nlargest
from typing import Final

import msgspec
from aiohttp import web

from edge_agent.explanation import explanation
from edge_agent.pipeline import Pipeline
from edge_agent.service.problem import problem

AT_ONCE: Final = 2
"""Questions that read the journal at the same time; the others wait."""
COMPARED: Final = 500
"""The most names that a wrong one is compared with letter by letter, on the event loop: those that begin
most like it."""
LONGEST: Final = 64
"""What a wrong name has more of is not compared: no facing has a longer one."""
NAMED: Final = 12
"""The most facings that a hint names."""


class Accounts:
    """The call. It costs nothing until somebody asks."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._facings = {facing.id: facing for facing in pipeline.planogram.facings}
        self._names = {product.gtin: product.name for product in pipeline.planogram.products}
        self._room = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """For the agent's own page."""
        return [web.get("/v1/facings/{facing}", self._explain)]

    async def _explain(self, request: web.Request) -> web.Response:
        name = request.match_info["facing"]
        facing = self._facings.get(name)
        if facing is None:
            detail = f"there is no facing {name!r} in this store's planogram"
            return problem(404, detail, code="E-NOT-FOUND", hint=known(name, list(self._facings)))
        async with self._room:
            now, estimator = self._pipeline.now(), self._pipeline.estimator
            tell = partial(
                explanation,
                estimator.accountant.of(estimator.beliefs[name], now),
                facing,
                now,
                journal=self._pipeline.journal,
                names=self._names,
                conditions=dict(self._pipeline.health.conditions),
            )
            answer = await asyncio.to_thread(tell)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def known(name: str, names: list[str]) -> str:
    """Which there are: all of them where they are few, else those that are spelt alike and the first ones."""
    if len(names) <= NAMED:
        return f"known: {', '.join(names) or 'none'}"
    name = name[:LONGEST]
    likeliest = nlargest(COMPARED, names, key=partial(_shared, name))
    alike = get_close_matches(name, likeliest, n=3)
    first = [one for one in names if one not in alike][: NAMED - len(alike)]
    return f"known: {', '.join([*alike, *first])}, … {len(names)} in all (GET /v1/facings)"


def _shared(name: str, other: str) -> int:
    """With how many of the same letters both begin."""
    differing = (index for index, (one, two) in enumerate(zip(name, other, strict=False)) if one != two)
    return next(differing, min(len(name), len(other)))
