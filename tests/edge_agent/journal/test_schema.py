"""An older journal becomes a current one without losing a row; released steps stay as they were."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from edge_agent.contract.times import utc_now
from edge_agent.environment import Minute, Quantity
from edge_agent.journal import Capture, Journal
from edge_agent.journal import schema as journal_schema
from edge_agent.lines import Line
from edge_agent.presence_hours import ZoneHour

STEPS = {
    1: "41f6258fc7cb032b",
    2: "532071f22fbe4496",
    3: "8f760232a52cdd97",
    4: "0bde6baa5d75eee5",
    5: "6220c82f799f8500",
    6: "ad832a339c5d58ff",
}
"""Digest of all columns after each released step."""


def schema_after(version: int) -> str:
    connection = sqlite3.connect(":memory:")
    for step in journal_schema.MIGRATIONS[:version]:
        connection.executescript(step)
    columns = connection.execute(
        "select t.name, c.name, c.type, c.pk, t.strict from pragma_table_list t, pragma_table_info(t.name) c"
        " where t.schema = 'main' and t.name not like 'sqlite_%' order by t.name, c.cid"
    ).fetchall()
    connection.close()
    return sha256(repr(columns).encode()).hexdigest()[:16]


@pytest.mark.parametrize("version", STEPS)
def test_a_released_step_is_never_edited(version: int) -> None:
    assert schema_after(version) == STEPS[version]


def test_every_step_is_pinned() -> None:
    assert max(STEPS) == len(journal_schema.MIGRATIONS) == journal_schema.VERSION


def version_1(folder: Path) -> None:
    """A journal as the first version left it, with a facing, a device and a bucket."""
    connection = sqlite3.connect(folder / "journal.db")
    connection.executescript(journal_schema.MIGRATIONS[0])
    connection.execute("insert into identity values('agent_id', 'abcd')")
    connection.execute(
        "insert into facing values('A1', '06901234567892', 5, 0.9, 'ok', '', '', null, null, 0)"
    )
    connection.execute(
        "insert into device values('s1', 'mt-sics', 'online', null, '2026-11-22T10:00:00.000Z', null)"
    )
    connection.execute("insert into plate values('s1', -1, 1760.5, '2026-11-22T10:00:00.000Z')")
    connection.execute("insert into bucket values('cam', 'door', '2026-11-22T10:00:00.000Z', 3, 1)")
    connection.execute("pragma user_version = 1")
    connection.commit()
    connection.close()


def test_a_journal_of_version_1_keeps_everything_and_takes_what_is_new(tmp_path: Path) -> None:
    version_1(tmp_path)
    journal = Journal(tmp_path)
    assert journal.agent_id == "abcd"
    assert [b.on_hand for b in journal.restored.beliefs] == [5]
    assert [c.device for c in journal.restored.conditions] == ["s1"]
    assert [(p.weight_g, p.belief) for p in journal.restored.plates] == [(1760.5, "")]
    assert [b.entered for b in journal.restored.buckets] == [3]
    assert journal.restored.quantities == []
    assert [b.memory for b in journal.restored.beliefs] == [""]
    fridge, sold = quantity(), Line("sale", "r1", "1", "3")
    assert journal.restored.hours == []
    hour = ZoneHour("cam", "till", utc_now().replace(microsecond=0), 60.0, 30.5, 2, 28.0, 20.0)
    made = Capture(quantities=[fridge], lines=[sold], hours=[hour])
    made.effects.beliefs.append(replace(journal.restored.beliefs[0], memory='{"sold": 3}'))
    journal.submit(made).result(10)
    journal.close()
    again = Journal(tmp_path)
    assert again.restored.quantities == [fridge]
    assert again.restored.hours == [hour]
    assert again.content_of(sold.key) == "3"
    assert [(b.on_hand, b.memory) for b in again.restored.beliefs] == [(5, '{"sold": 3}')]
    again.close()


@pytest.mark.parametrize("alarm", [None, "above"])
def test_a_device_that_is_configured_no_longer_is_forgotten_unless_its_alarm_is_open(
    tmp_path: Path, alarm: str | None
) -> None:
    journal = Journal(tmp_path)
    journal.submit(Capture(quantities=[quantity(alarm=alarm)])).result(10)
    journal.forget_others(facings={}, devices=["other"]).result(10)
    journal.close()
    again = Journal(tmp_path)
    assert len(again.restored.quantities) == (alarm is not None)
    again.close()


def quantity(alarm: str | None = "above") -> Quantity:
    now = utc_now().replace(microsecond=0)
    return Quantity(
        device="fridge",
        quantity="temperature_c",
        unit="°C",
        value=7.25,
        measured_at=now,
        own_at=now,
        minute=Minute(start=now, count=3, total=20.5, low=6.0, high=7.25, told=True),
        outside="above",
        outside_s=12.5,
        alarm=alarm,  # type: ignore[arg-type]
        limit=5.0 if alarm else None,
    )
