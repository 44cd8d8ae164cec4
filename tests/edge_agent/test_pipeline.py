"""Emit returns when the consequences are on the disk, and at once when there are none."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.contract.errors import JournalError
from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.contract.times import utc_now
from edge_agent.environment import Bounds, Environment
from edge_agent.health import Condition, Health
from edge_agent.journal import Capture, Journal, writer
from edge_agent.pipeline import Pipeline
from edge_agent.readings import DeviceAnswered, DeviceDegraded, EnvironmentReading, LineCrossing, TagRead
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.sensors import Wiring
from edge_agent.traffic import Traffic

GTIN = "06901234567892"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    plan = Planogram(
        products=[Product(gtin=GTIN, tagged=1)], facings=[Facing(id="A1", gtin=GTIN, capacity=9)]
    )
    conditions = [Condition(name, "x", "offline", "not seen yet", utc_now()) for name in ("r1", "cam")]
    journal = Journal(tmp_path, commit_window_s=0.002)
    yield Pipeline(Estimator(plan, Wiring({}, {("r1", 1): "A1"})), Traffic([]), Health(conditions), journal)
    journal.close()


def on_disk(pipeline: Pipeline) -> list[tuple[str, str]]:
    db = sqlite3.connect(f"file:{pipeline.journal.path}?mode=ro", uri=True)
    rows = db.execute("select kind, body from outbox order by seq").fetchall()
    db.close()
    return rows


async def test_what_emit_returned_from_is_on_the_disk(pipeline: Pipeline) -> None:
    await pipeline.emit([DeviceAnswered("r1")])
    await pipeline.emit([TagRead("r1", 1, f"{n:024x}", -50.0) for n in range(20)])
    await pipeline.emit([LineCrossing("cam", "door", "entered", utc_now())])
    kinds = [kind for kind, _ in on_disk(pipeline)]
    assert kinds == ["device.changed", *["item.arrived"] * 20, "footfall.counted", "device.changed"]


async def test_a_reading_without_consequence_writes_nothing(pipeline: Pipeline) -> None:
    await pipeline.emit([TagRead("r1", 1, "ab", -50.0)])
    commits = pipeline.journal.commits
    for _ in range(100):
        await pipeline.emit([TagRead("r1", 1, "ab", -50.0)])
    assert pipeline.journal.commits == commits


async def test_what_lies_in_the_back_room_is_on_the_disk(tmp_path: Path) -> None:
    plan = Planogram(
        products=[Product(gtin=GTIN, tagged=1)], facings=[Facing(id="A1", gtin=GTIN, capacity=9)]
    )
    estimator = Estimator(plan, Wiring({}, {("r1", 1): "A1"}, {("r1", 2)}))
    health = Health([Condition("r1", "x", "offline", "not seen yet", utc_now())])
    with closing(Journal(tmp_path)) as journal:
        pipeline = Pipeline(estimator, Traffic([]), health, journal)
        await pipeline.emit([TagRead("r1", 1, "aa", -50.0), TagRead("r1", 1, "bb", -50.0)])
        await pipeline.emit([TagRead("r1", 2, "bb", -40.0), TagRead("r1", 2, "bb", -40.0)])
        rows = [(kind, json.loads(body)["facing"]) for kind, body in on_disk(pipeline) if "item" in kind]
    assert rows[2:] == [("item.departed", "A1"), ("item.arrived", None)]
    with closing(Journal(tmp_path)) as journal:
        assert sorted(journal.restored.tags) == [("aa", "r1", "A1"), ("bb", "r1", "")]


async def test_concurrent_emits_share_commits_and_keep_their_order(pipeline: Pipeline) -> None:
    await asyncio.gather(*(pipeline.emit([TagRead("r1", 1, f"{n:06x}", None)]) for n in range(500)))
    epcs = [body for kind, body in on_disk(pipeline) if kind == "item.arrived"]
    assert len(epcs) == 500
    assert epcs == sorted(epcs)
    assert pipeline.journal.commits < 100


async def test_degraded_and_lost_reach_the_journal_with_their_reason(pipeline: Pipeline) -> None:
    await pipeline.emit([DeviceDegraded("r1", "antenna 1 is off")])
    await pipeline.device_lost("r1", "gone [E-LINK-LOST]")
    assert ["antenna 1" in on_disk(pipeline)[0][1], "E-LINK-LOST" in on_disk(pipeline)[1][1]] == [True, True]


async def test_a_full_disk_holds_every_emit_and_the_core_until_there_is_room(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN_AFTER_S", 0.01)
    pipeline.journal.limit_pages(30)
    core = asyncio.create_task(pipeline.run())
    tags = [[TagRead("r1", 1, f"{n:024x}", None)] for n in range(5_000)]
    emits = [asyncio.create_task(pipeline.emit(one)) for one in tags]
    async with asyncio.timeout(20):
        while pipeline.journal.refusal is None:  # noqa: ASYNC110  # the disk has no event
            await asyncio.sleep(0.01)
        written = sum(kind == "item.arrived" for kind, _ in on_disk(pipeline))
        assert sum(emit.done() for emit in emits) <= written < 5_000
        assert not core.done()
        pipeline.journal.limit_pages(100_000)
        await asyncio.gather(*emits)
    assert sum(kind == "item.arrived" for kind, _ in on_disk(pipeline)) == 5_000
    assert not core.done()
    core.cancel()
    await asyncio.wait([core])


async def test_a_journal_that_has_failed_for_good_ends_the_core(pipeline: Pipeline) -> None:
    unwritable = Capture()
    unwritable.effects.tell("gap.opened", object(), utc_now())  # nothing that could be encoded
    with pytest.raises(JournalError):
        pipeline.journal.submit(unwritable).result(10)
    with pytest.raises(JournalError):
        await pipeline.emit([DeviceDegraded("r1", "gone")])
    async with asyncio.timeout(5):
        with pytest.raises(JournalError):
            await pipeline.run()


async def test_a_minute_is_told_at_the_stop_and_an_alarm_at_once(pipeline: Pipeline) -> None:
    pipeline.environment = Environment({("r1", "door"): Bounds(max=0.0, for_s=0.0)})
    await pipeline.emit([EnvironmentReading("r1", "door", "open", 1.0)])
    await pipeline.emit([EnvironmentReading("r1", "door", "open", 0.0)])
    assert [kind for kind, _ in on_disk(pipeline)] == [
        "environment.alarm",
        "device.changed",
        "environment.alarm",
    ]
    await pipeline.close_minutes()
    assert [kind for kind, _ in on_disk(pipeline)][3:] == ["environment.measured"]


async def test_a_change_that_is_held_back_is_news_again_after_a_kill(pipeline: Pipeline) -> None:
    pipeline.news.is_sparing = True
    await pipeline.emit([DeviceAnswered("r1")])
    await pipeline.emit([DeviceDegraded("r1", "antenna 1 is open")])
    told = [json.loads(body)["status"] for kind, body in on_disk(pipeline) if kind == "device.changed"]
    assert told == ["online"]
    pipeline.journal.close()  # as a kill leaves it: the pipeline did not stop
    with closing(Journal(pipeline.journal.path.parent)) as journal:
        [kept] = [c for c in journal.restored.conditions if c.device == "r1"]
    assert (kept.status, kept.reason) == ("online", None)


async def test_what_is_told_again_is_not_held_back_any_more(pipeline: Pipeline) -> None:
    pipeline.news.is_sparing = True
    await pipeline.emit([DeviceAnswered("r1")])
    await pipeline.emit([DeviceDegraded("r1", "antenna 1 is open")])  # held back
    again = Capture()
    pipeline.tell_devices(again)
    await asyncio.wrap_future(pipeline.journal.submit(again))
    await pipeline.emit([DeviceAnswered("r1")])  # held back
    await pipeline.close_minutes()
    bodies = [json.loads(body) for kind, body in on_disk(pipeline) if kind == "device.changed"]
    assert [b["status"] for b in bodies if b["device"] == "r1"] == ["online", "degraded", "online"]
