"""Lines count once, whichever way and however often they come; commands are done once or refused."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.errors import DoesNotFit, LineDiffers, NotInPlanogram
from edge_agent.contract.messages import Command
from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.health import Condition, Health
from edge_agent.journal import Journal
from edge_agent.journal import state as journal_state
from edge_agent.pipeline import Pipeline
from edge_agent.readings import Delivery, Recount, Sale
from edge_agent.stock.estimate import Estimator, Wiring
from edge_agent.traffic import Traffic

GTIN, OTHER = "06901234567892", "04006381333931"
PLAN = Planogram(
    products=[Product(gtin=GTIN), Product(gtin=OTHER)],
    facings=[Facing(id="A1", gtin=GTIN, capacity=12), Facing(id="A2", gtin=OTHER, capacity=12)],
)
SALE = Sale("", "r-1", "1", GTIN, 2)


def begin(folder: Path) -> Pipeline:
    journal = Journal(folder, commit_window_s=0.002)
    estimator = Estimator(PLAN, Wiring({}, {}), journal.restored.beliefs)
    till = Condition("till", "mqtt-json", "offline", "not seen yet", utc_now())
    return Pipeline(estimator, Traffic([]), Health([till]), journal, planogram=PLAN)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    made = begin(tmp_path)
    yield made
    made.journal.close()


def told(pipeline: Pipeline, kind: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{pipeline.journal.path}?mode=ro", uri=True)) as db:
        rows = db.execute("select body from outbox where kind = ? order by seq", (kind,)).fetchall()
    return [json.loads(body) for (body,) in rows]


def causes(pipeline: Pipeline) -> list[tuple[str, int]]:
    return [(body["cause"], body["on_hand"]) for body in told(pipeline, "stock.changed")]


def command(number: int = 1, kind: str = "recount", age_s: float = 0.0, **body: Any) -> Command:
    body = body or {"facing": "A1", "on_hand": 7}
    return Command(id=f"{number:032x}", kind=kind, age_ms=round(age_s * 1000), body=body)


async def test_a_line_counts_once_at_once_later_and_after_a_restart(tmp_path: Path) -> None:
    pipeline = begin(tmp_path)
    await pipeline.take(Recount("A1", 10))
    assert await asyncio.gather(*(pipeline.take(SALE) for _ in range(20))) == [True] + [False] * 19
    assert not await pipeline.take(replace(SALE, occurred_at=utc_now()))
    assert causes(pipeline) == [("recount", 10), ("sale", 8)]
    pipeline.journal.close()
    again = begin(tmp_path)
    assert not await again.take(SALE)
    assert again.estimator.beliefs["A1"].on_hand == 8
    again.journal.close()


async def test_a_line_from_a_till_on_mqtt_and_over_the_api_is_one_line(pipeline: Pipeline) -> None:
    await pipeline.take(Recount("A1", 10))
    await pipeline.emit([replace(SALE, device="till"), replace(SALE, device="till", line="2")])
    assert not await pipeline.take(SALE)
    assert await pipeline.take(replace(SALE, line="3"))
    await pipeline.emit([replace(SALE, device="till", line="3")] * 2)
    assert [on_hand for _, on_hand in causes(pipeline)] == [10, 8, 6, 4]


async def test_whoever_repeats_a_line_that_is_under_way_waits_for_the_disk_too(pipeline: Pipeline) -> None:
    first = asyncio.create_task(pipeline.take(SALE))
    await asyncio.sleep(0)
    commits = pipeline.journal.commits
    assert not await pipeline.take(SALE)
    assert pipeline.journal.commits > commits
    assert pipeline.journal.content_of(("sale", "r-1", "1")) is not None
    assert await first


async def test_a_line_with_another_content_is_refused_and_changes_nothing(pipeline: Pipeline) -> None:
    await pipeline.take(Recount("A1", 10))
    await pipeline.take(SALE)
    with pytest.raises(LineDiffers, match="'r-1' line '1'"):
        await pipeline.take(replace(SALE, quantity=3))
    await pipeline.emit([replace(SALE, device="till", quantity=3)])
    assert pipeline.estimator.beliefs["A1"].on_hand == 8


async def test_a_sale_and_a_delivery_of_the_same_number_are_two_things(pipeline: Pipeline) -> None:
    await pipeline.take(Recount("A1", 5))
    assert await pipeline.take(Sale("", "7", "1", GTIN, 1))
    assert await pipeline.take(Delivery("", "7", "1", GTIN, 4, "A1"))
    assert causes(pipeline) == [("recount", 5), ("sale", 4), ("restock", 8)]


@pytest.mark.parametrize(
    ("reading", "refused"),
    [
        (replace(SALE, gtin="80614141123458"), NotInPlanogram),
        (Delivery("", "d", "1", GTIN, 1, "A9"), NotInPlanogram),
        (Delivery("", "d", "1", GTIN, 1, "A2"), DoesNotFit),
        (Recount("A9", 1), NotInPlanogram),
        (Recount("A1", 25), DoesNotFit),
    ],
)
async def test_what_cannot_be_leaves_no_trace(
    pipeline: Pipeline, reading: Any, refused: type[Exception]
) -> None:
    with pytest.raises(refused):
        await pipeline.take(reading)
    assert causes(pipeline) == []
    assert pipeline.journal.content_of(("delivery", "d", "1")) is None


async def test_a_line_of_an_item_that_nobody_planned_does_not_stop_a_device(pipeline: Pipeline) -> None:
    await pipeline.take(Recount("A1", 10))
    await pipeline.emit([replace(SALE, device="till", gtin="80614141123458"), replace(SALE, device="till")])
    assert pipeline.estimator.beliefs["A1"].on_hand == 8


async def test_lines_are_forgotten_in_time(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_state, "LINES_KEPT", 0)
    await pipeline.take(SALE)
    pipeline.journal.forget_lines(rfc3339(utc_now() - timedelta(days=1))).result(5)
    assert not await pipeline.take(SALE)
    pipeline.journal.forget_lines(rfc3339(utc_now() + timedelta(days=1))).result(5)
    assert await pipeline.take(SALE)


async def test_the_newest_lines_are_known_whatever_the_clock_says_and_commands_too(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway without a clock of its own takes lines in 1970, and then is told the time."""
    monkeypatch.setattr(journal_state, "LINES_KEPT", 2)
    await pipeline.obey(command())
    for number in range(3):
        await pipeline.take(replace(SALE, line=str(number)))
    pipeline.journal.forget_lines("2999").result(5)
    assert [await pipeline.take(replace(SALE, line=str(n))) for n in (1, 2, 0)] == [False, False, True]
    assert pipeline.journal.content_of(("command", f"{1:032x}", "")) == "recount"


async def test_there_are_never_more_lines_than_agreed(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_state, "MOST_LINES", 3)
    for number in range(5):
        await pipeline.take(replace(SALE, line=str(number)))
    pipeline.journal.forget_lines("1970").result(5)
    known = [pipeline.journal.content_of(("sale", "r-1", str(n))) is not None for n in range(5)]
    assert known == [False, False, True, True, True]


async def test_a_command_is_done_once_also_after_a_restart_and_its_fate_is_told(tmp_path: Path) -> None:
    pipeline = begin(tmp_path)
    await asyncio.gather(*(pipeline.obey(command()) for _ in range(5)))
    await pipeline.take(Sale("", "r", "1", GTIN, 3))
    pipeline.journal.close()
    again = begin(tmp_path)
    await again.obey(command())
    assert causes(again) == [("recount", 7), ("sale", 4)]
    assert told(again, "command.done") == [
        {"command": f"{1:032x}", "outcome": "applied", "reason": None, "newest": 0}
    ]
    again.journal.close()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (command(kind="dance"), "does not know the command 'dance'"),
        (command(facing="A9", on_hand=1), "no 'A9'"),
        (command(facing="A1", on_hand=99), "between 0 and 24"),
        (command(facing="A1", on_hand="many"), "does not fit"),
        (command(facing="A1"), "does not fit"),
    ],
)
async def test_a_command_that_cannot_be_done_is_refused_once_with_a_reason_and_the_next_is_done(
    pipeline: Pipeline, asked: Command, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await pipeline.obey(asked)
    await pipeline.obey(command(2))
    refused, applied = told(pipeline, "command.done")
    assert (refused["outcome"], applied["outcome"]) == ("refused", "applied")
    assert reason in refused["reason"]
    assert caplog.text.count("is refused") == 1
    assert causes(pipeline) == [("recount", 7)]


@pytest.mark.parametrize(("age_s", "outcome"), [(0.0, "applied"), (20.0, "applied"), (600.0, "refused")])
async def test_a_count_that_the_facing_has_overtaken_is_refused(
    pipeline: Pipeline, age_s: float, outcome: str
) -> None:
    """The line was cut for minutes, and meanwhile something was sold."""
    await pipeline.take(Recount("A1", 10))
    await pipeline.take(SALE)
    await pipeline.obey(command(2, age_s=age_s, facing="A1", on_hand=9))
    assert [done["outcome"] for done in told(pipeline, "command.done")] == [outcome]
    assert pipeline.estimator.beliefs["A1"].on_hand == (9 if outcome == "applied" else 8)


async def test_an_old_count_of_a_facing_where_nothing_happened_is_taken(pipeline: Pipeline) -> None:
    await pipeline.obey(command(age_s=600))
    assert pipeline.estimator.beliefs["A1"].on_hand == 7


async def test_of_two_counts_that_waited_for_the_line_the_newer_is_believed(pipeline: Pipeline) -> None:
    await pipeline.obey(command(1, age_s=600, facing="A1", on_hand=7))
    await pipeline.obey(command(2, age_s=480, facing="A1", on_hand=8))
    await pipeline.obey(command(3, age_s=540, facing="A1", on_hand=6))
    assert [done["outcome"] for done in told(pipeline, "command.done")] == ["applied", "applied", "refused"]
    assert pipeline.estimator.beliefs["A1"].on_hand == 8


async def test_what_is_sold_behind_a_count_of_hq_overtakes_the_next_one(pipeline: Pipeline) -> None:
    await pipeline.obey(command(1, age_s=600, facing="A1", on_hand=7))
    await pipeline.take(SALE)
    await pipeline.obey(command(2, age_s=480, facing="A1", on_hand=8))
    assert [done["outcome"] for done in told(pipeline, "command.done")] == ["applied", "refused"]
    assert pipeline.estimator.beliefs["A1"].on_hand == 5


async def test_a_devices_line_that_does_not_count_is_told_once_unless_a_till_sold_what_stands_elsewhere(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await pipeline.take(SALE)
    astray, strange = Delivery("till", "d", "1", GTIN, 1, "A9"), replace(SALE, gtin="80614141123458")
    changed = replace(SALE, device="till", quantity=3)
    for _ in range(3):
        await pipeline.emit([astray, changed, replace(strange, device="till")])
    await pipeline.emit([Delivery("till", "d", "2", strange.gtin, 1)])
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 3
    assert "there is no 'A9'" in warned[0]
    assert "another content" in warned[1]
    assert f"till: a line does not count: gtin: {strange.gtin}" in warned[2]
    monkeypatch.setattr("edge_agent.pipeline.MOST_REFUSALS_TOLD", 3)
    await pipeline.emit([replace(astray, facing="A8")])
    assert "'A8'" not in caplog.text
