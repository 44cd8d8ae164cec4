"""HQ has lost a store's past, and the store has forgotten it: the real agent tells the real HQ the present."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from cloud_bridge import control
from cloud_bridge.app import Bridge
from cloud_bridge.config import BridgeSettings, Http
from cloud_bridge.databases import audit
from edge_agent.app import build
from edge_agent.config.store import StoreSettings
from edge_agent.contract.messages import PlanogramApplied
from edge_agent.contract.times import utc_now
from edge_agent.journal import Capture, Journal
from edge_agent.stock.belief import Belief

STORE = "s1"
GTINS = {"A1": "06901234567892", "A2": "04006381333931", "A3": "06901234567892"}
COUNTS = {"A1": (4, 7), "A2": (2, 0), "A3": ()}
"""What was counted on each facing, in order; nobody has counted A3."""


async def test_an_hq_without_a_past_is_told_every_facing_that_the_store_knows(tmp_path: Path) -> None:
    settings = BridgeSettings(data_dir=tmp_path / "hq", http=Http(port=0))
    async with running(settings):
        added = await control.ask(settings.data_dir, "store add", {"name": STORE})
    assert added is not None
    (tmp_path / "token").write_text(added["token"])
    shutil.copytree(settings.data_dir, tmp_path / "backup")
    past = live(tmp_path / "edge")
    async with running(settings) as hq, told_all(hq, tmp_path, above=0) as journal:
        assert journal.position.applied == past
        await asyncio.wrap_future(journal.prune(past))
    shutil.rmtree(settings.data_dir)
    shutil.copytree(tmp_path / "backup", settings.data_dir)

    async with running(settings) as hq:
        async with told_all(hq, tmp_path, above=past) as journal:
            rows = journal.last_seq
        assert hq.engine is not None
        page = await hq.engine.facing_page(STORE, status=None, after="", limit=9)
        assert {f.facing: (f.gtin, f.on_hand) for f in page} == {
            facing: (gtin.zfill(14), COUNTS[facing][-1] if COUNTS[facing] else None)
            for facing, gtin in GTINS.items()
        }
    assert audit(settings, None)[0].problems == []
    assert rows == past + 1 + len(GTINS), "the planogram and each facing, once"


@asynccontextmanager
async def running(settings: BridgeSettings) -> AsyncIterator[Bridge]:
    """HQ in this process."""
    bridge, stopping, ready = Bridge(settings), asyncio.Event(), asyncio.Event()
    control.prepare(settings.data_dir)
    async with asyncio.TaskGroup() as group:
        group.create_task(bridge.serve(stopping, ready), name="hq")
        await ready.wait()
        yield bridge
        stopping.set()


@asynccontextmanager
async def told_all(hq: Bridge, folder: Path, *, above: int) -> AsyncIterator[Journal]:
    """The agent's journal once HQ has every row of it and at least one above `above`."""
    agent = build(store_settings(folder, hq.url))
    assert agent.uplink is not None
    telling = asyncio.create_task(agent.uplink.run(), name="uplink")
    try:
        async with asyncio.timeout(20):
            while not above < agent.journal.position.applied == agent.journal.last_seq:  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.01)
        yield agent.journal
    finally:
        telling.cancel()
        await asyncio.wait([telling])
        agent.journal.close()


def live(folder: Path) -> int:
    """Write a store's past into a new journal; returns its newest row."""
    journal, made = Journal(folder), Capture()
    places = [{"id": f, "gtin": gtin, "capacity": 24, "reorder_point": 6} for f, gtin in GTINS.items()]
    products = [{"gtin": gtin, "name": gtin} for gtin in sorted(set(GTINS.values()))]
    planogram = PlanogramApplied(revision=0, products=products, facings=places)
    made.effects.tell("planogram.applied", planogram, utc_now())
    for facing, gtin in GTINS.items():
        belief = Belief(facing, gtin)
        made.effects.beliefs.append(belief)
        for count in COUNTS[facing]:
            after = replace(belief, on_hand=count, confidence=0.9, status="ok", sources=("weight",))
            made.effects.tell("stock.changed", after.changed_from(belief, "pick"), utc_now())
            made.effects.beliefs.append(belief := after)
    journal.submit(made).result(20)
    past = journal.last_seq
    journal.close()
    return past


def store_settings(folder: Path, url: str) -> StoreSettings:
    return StoreSettings.model_validate(
        {
            "store": {"id": STORE, "timezone": "UTC"},
            "agent": {"data_dir": folder / "edge", "commit_window_ms": 0},
            "uplink": {"url": url, "token_file": folder / "token"},
            "products": [{"gtin": g, "name": g, "unit_weight_g": 300.0} for g in sorted(set(GTINS.values()))],
            "facings": [{"id": facing, "gtin": gtin, "capacity": 24} for facing, gtin in GTINS.items()],
            "devices": [],
        }
    )
