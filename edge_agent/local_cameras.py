"""The agent's API of what cameras saw on the floor: `GET /v1/cameras/{device}/zones` and `…/heat`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from edge_agent.config.cameras import Camera
from edge_agent.contract.times import parse_rfc3339, rfc3339
from edge_agent.journal.hours import Span, heat_hours, zone_hours
from edge_agent.local_accounts import known
from edge_agent.pipeline import Pipeline
from edge_agent.presence_hours import HOUR_S, HeatHour, ZoneHour
from edge_agent.service.problem import problem

AT_ONCE: Final = 2
"""Questions that read the journal at the same time; the others wait."""
LONGEST: Final = timedelta(days=92)
"""The most that one question may ask for."""
MOST_CELLS: Final = 350_000
"""Cells of a heat map that one answer may hold: 92 days of the usual grid."""
USUAL: Final = timedelta(hours=24)


class Cameras:
    """The calls. They cost nothing until somebody asks."""

    def __init__(self, pipeline: Pipeline, cameras: Sequence[Camera]) -> None:
        self._pipeline = pipeline
        self._cameras = {camera.id: camera for camera in cameras}
        self._room = asyncio.Semaphore(AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """For the agent's own page."""
        return [
            web.get("/v1/cameras/{device}/zones", partial(self._answer, self._zones)),
            web.get("/v1/cameras/{device}/heat", partial(self._answer, self._heat)),
        ]

    async def _answer(
        self, tell: Callable[[Camera, Span], dict[str, Any] | None], request: web.Request
    ) -> web.Response:
        name, now = request.match_info["device"], self._pipeline.now().at
        camera = self._cameras.get(name)
        if camera is None:
            hint = known(name, list(self._cameras))
            return problem(404, f"there is no camera {name!r}", code="E-NOT-FOUND", hint=hint)
        try:
            span = _span(name, request.query, now)
        except (ValueError, OverflowError) as error:
            hint = "write from and to like 2026-11-22T10:00:00Z"
            return problem(400, str(error), code="E-BAD-REQUEST", hint=hint)
        if (fewer := _too_much(camera, span)) is not None:
            return fewer
        async with self._room:
            body = await asyncio.to_thread(_encoded, tell, camera, span)
        if body is None:
            hint = "give footfall.heat_map of the camera"
            return problem(404, f"{name} has no heat map", code="E-NOT-FOUND", hint=hint)
        return web.Response(body=body, content_type="application/json")

    def _zones(self, camera: Camera, span: Span) -> dict[str, Any]:
        hours, now = self._pipeline.hours, self._pipeline.now().at
        zones = camera.footfall.zones if camera.footfall is not None else []
        return {
            "items": [_zone_item(hour) for hour in self._pipeline.journal.look(partial(zone_hours, span))],
            "now": [{"zone": z.id, "occupancy": hours.occupancy(camera.id, z.id, now)} for z in zones],
        }

    def _heat(self, camera: Camera, span: Span) -> dict[str, Any] | None:
        grid = camera.footfall.heat_map if camera.footfall is not None else None
        if grid is None:
            return None
        look = partial(heat_hours, span, (grid.columns, grid.rows))
        items = [_heat_item(hour) for hour in self._pipeline.journal.look(look)]
        return {"columns": grid.columns, "rows": grid.rows, "items": items}


def _too_much(camera: Camera, span: Span) -> web.Response | None:
    """The refusal of a span that would fill the gateway's memory with cells."""
    grid = camera.footfall.heat_map if camera.footfall is not None else None
    hours = (span.until - span.since) / timedelta(hours=1)
    if grid is None or hours * grid.columns * grid.rows <= MOST_CELLS:
        return None
    days = MOST_CELLS // (24 * grid.columns * grid.rows)
    hint = f"ask for at most {days} days at once"
    return problem(400, "from and to are too far apart for this grid", code="E-BAD-REQUEST", hint=hint)


def _encoded(
    tell: Callable[[Camera, Span], dict[str, Any] | None], camera: Camera, span: Span
) -> bytes | None:
    answer = tell(camera, span)
    return None if answer is None else msgspec.json.encode(answer)


def _span(device: str, query: Any, now: datetime) -> Span:
    """What is asked for: without `to` until now, without `from` the day before. ValueError for nonsense."""
    until = parse_rfc3339(query["to"]) if "to" in query else now
    since = parse_rfc3339(query["from"]) if "from" in query else until - USUAL
    if since >= until:
        raise ValueError("from is not before to")
    if until - since > LONGEST:
        raise ValueError(f"from and to are more than {LONGEST.days} days apart")
    return Span(device, since, until)


def _zone_item(hour: ZoneHour) -> dict[str, Any]:
    return {
        "zone": hour.zone,
        "start": rfc3339(hour.start),
        "seconds": HOUR_S,
        "watched_s": round(hour.watched_s, 1),
        "visits": hour.visits,
        "mean_dwell_s": round(hour.dwell_s / hour.visits, 1) if hour.visits else None,
        "longest_dwell_s": round(hour.longest_s, 1) if hour.visits else None,
        "mean_occupancy": round(hour.person_s / hour.watched_s, 3) if hour.watched_s else None,
    }


def _heat_item(hour: HeatHour) -> dict[str, Any]:
    cells = [round(cell, 1) for cell in hour.cells]
    lines = [cells[start : start + hour.columns] for start in range(0, len(cells), hour.columns)]
    return {"start": rfc3339(hour.start), "watched_s": round(hour.watched_s, 1), "cells": lines}
