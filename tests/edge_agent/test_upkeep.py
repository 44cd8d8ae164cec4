"""A full quota never stops a store: delivered rows go first, the ballast is for stock, all but stock is coarser."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from edge_agent.contract.messages import ItemMoved, fold_chain
from edge_agent.contract.planogram import Planogram
from edge_agent.contract.times import parse_rfc3339, utc_now
from edge_agent.environment import Environment
from edge_agent.health import Condition, Health
from edge_agent.journal import Capture, Journal, writer
from edge_agent.moment import Moment
from edge_agent.pipeline import Pipeline
from edge_agent.readings import DeviceAnswered, DeviceDegraded, EnvironmentReading, LineCrossing
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.sensors import Wiring
from edge_agent.traffic import Traffic
from edge_agent.upkeep import Upkeep

MB = 2**20


def fill(journal: Journal, rows: int) -> None:
    made = Capture()
    for number in range(rows):
        body = ItemMoved(epc=f"{number:024x}", gtin=None, serial=None, facing="A1", device="r1")
        made.effects.tell("item.arrived", body, utc_now())
    journal.submit(made).result(20)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path, ballast_bytes=MB)) as journal:
        yield journal


def upkeep(journal: Journal, quota_bytes: int, levels: list[int] | None = None) -> Upkeep:
    return Upkeep(journal, quota_bytes, timedelta(days=3), (levels if levels is not None else []).append)


async def test_rows_that_hq_has_go_early_when_the_quota_is_nearly_full(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    fill(journal, 5_000)
    levels: list[int] = []
    kept = upkeep(journal, journal.used_bytes() * 10 // 9, levels)
    journal.acknowledged("b", applied=4_000, safe=4_000).result(5)
    await kept.look()
    assert journal.position.base_seq == 4_000
    assert (kept.level, levels) == (0, [])
    rows = journal.rows_after(4_000, limit=9_999)
    assert fold_chain(journal.position.base_chain, rows) == journal.last_chain
    assert caplog.records == []


async def test_a_full_quota_forgets_what_is_applied_and_not_safe_with_one_warning(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    fill(journal, 6_000)
    kept = upkeep(journal, journal.used_bytes())
    journal.acknowledged("b", applied=6_000, safe=100).result(5)
    await kept.look()
    await kept.look()
    assert journal.position.base_seq >= 5_100
    assert kept.level == 0
    assert [r.getMessage() for r in caplog.records] == [
        "the disk is full: rows that HQ has, though not safely yet, are forgotten here"
    ]
    fill(journal, 1)
    assert journal.last_seq == 6_001


async def test_what_hq_does_not_have_stays_and_each_level_is_told_once(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    fill(journal, 3_000)
    caplog.set_level("INFO", "edge_agent.upkeep")
    used, levels = journal.used_bytes(), list[int]()
    kept = upkeep(journal, used * 100 // 50, levels)
    for share in (50, 75, 76, 86, 97, 96, 60):
        kept.quota_bytes = used * 100 // share
        await kept.look()
    assert levels == [70, 85, 95, 0]
    assert [r.levelname for r in caplog.records if "full" in r.getMessage()] == ["WARNING"] * 3 + ["INFO"]
    assert len(journal.rows_after(0, limit=9_999)) == 3_000


async def test_the_ballast_is_real_is_given_up_for_stock_and_made_again(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN_AFTER_S", 0.01)
    kept, ballast = upkeep(journal, 100 * MB), journal.path.with_name("ballast")
    await kept.look()
    assert ballast.stat().st_blocks * 512 >= MB
    fill(journal, 1)
    real = journal.make_room

    def relieved() -> bool:
        journal.limit_pages(100_000)
        return real()

    monkeypatch.setattr(journal, "make_room", relieved)
    journal.limit_pages(20)
    fill(journal, 1)  # brings the limit into force
    fill(journal, 500)
    assert not ballast.exists()
    assert journal.durable_seq == 502
    assert journal.refusal is None
    assert kept.fullness.in_need
    disk = shutil.disk_usage(journal.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: disk._replace(free=2 * MB))
    await kept.look()
    assert (kept.level, ballast.exists()) == (95, False)
    monkeypatch.undo()
    await kept.look()
    assert (kept.level, ballast.stat().st_size) == (0, MB)


class _Store(NamedTuple):
    pipeline: Pipeline
    journal: Journal

    def rows(self, kind: str) -> list[dict[str, object]]:
        with closing(sqlite3.connect(f"file:{self.journal.path}?mode=ro", uri=True)) as db:
            found = db.execute("select body from outbox where kind = ? order by seq", (kind,)).fetchall()
        return [json.loads(body) for (body,) in found]


@pytest.mark.parametrize(("level", "bodies"), [(70, (60, 60, 59)), (85, (4, 60, 1)), (95, (4, 4, 1))])
async def test_health_and_environment_then_footfall_get_coarser_and_totals_stay(
    journal: Journal, level: int, bodies: tuple[int, int, int]
) -> None:
    began = parse_rfc3339("2026-11-28T10:00:00.000Z")
    clock = [Moment(began, 1_000.0)]
    health = Health([Condition(name, "x", "online", None, began) for name in ("t1", "cam", "s1")])
    pipeline = Pipeline(
        Estimator(Planogram(), Wiring({}, {})), Traffic([]), health, journal, now=lambda: clock[0], environment=Environment()
    )  # fmt: skip
    store = _Store(pipeline, journal)
    pipeline.spare(level)
    for minute in range(60):
        at = began + timedelta(minutes=minute)
        clock[0] = Moment(at, 1_000.0 + minute * 60)
        await pipeline.emit([EnvironmentReading("t1", "temperature_c", "°C", float(minute))])
        await pipeline.emit([LineCrossing("cam", "door", "entered", at)])
        flap = DeviceDegraded("s1", f"error {minute}") if minute % 2 else DeviceAnswered("s1")
        await pipeline.emit([flap])
    await pipeline.close_minutes()
    measured, footfall = store.rows("environment.measured"), store.rows("footfall.counted")
    assert (len(measured), len(footfall)) == bodies[:2]
    assert (
        len(store.rows("device.changed")) <= 5
        if level >= 85
        else len(store.rows("device.changed")) == bodies[2]
    )
    assert sum(int(str(row["entered"])) for row in footfall) == 60
    assert sum(int(str(row["seconds"])) for row in measured) == 3_600
    assert (min(float(str(r["min"])) for r in measured), max(float(str(r["max"])) for r in measured)) == (
        0,
        59,
    )
    assert store.rows("device.changed")[-1]["reason"] == "error 59"


async def test_a_coarse_total_survives_a_crash(tmp_path: Path) -> None:
    at = parse_rfc3339("2026-11-28T10:07:10.000Z")
    with closing(Journal(tmp_path)) as journal:
        traffic = Traffic([])
        traffic.bucket_s = 900
        health = Health([Condition("cam", "x", "online", None, at)])
        pipeline = Pipeline(Estimator(Planogram(), Wiring({}, {})), traffic, health, journal)
        for _ in range(5):
            await pipeline.emit([LineCrossing("cam", "door", "entered", at)])
        assert journal.last_seq == 0
    with closing(Journal(tmp_path)) as again:
        traffic = Traffic(again.restored.buckets)
        [bucket] = traffic.tick(at + timedelta(hours=1))
        assert (bucket.body().start, bucket.seconds, bucket.entered) == ("2026-11-28T10:07:00.000Z", 480, 5)
