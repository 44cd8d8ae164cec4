"""`edge-agent outbox`: what is shown, that a copy can be verified by others, and what ends it clearly."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_agent import outbox
from edge_agent.cli import app
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import AgentUnreachable, ConfigError, JournalError, SchemaTooNew
from edge_agent.contract.messages import ItemMoved
from edge_agent.contract.times import utc_now
from edge_agent.journal import Capture, Journal
from edge_agent.journal.outbox import Which, opened, slices, stretch_of
from edge_agent.journal.schema import VERSION
from edge_agent.retelling import RESYNC, WANTED

REFERENCE = Path(__file__).parents[2] / "docs/reference.md"


def settings(folder: Path, **http: Any) -> StoreSettings:
    (folder / "token").write_text("secret")
    return StoreSettings.model_validate(
        {
            "store": {"id": "s1"},
            "agent": {"data_dir": str(folder / "var"), "http": http},
            "uplink": {"url": "http://127.0.0.1:1", "token_file": str(folder / "token")},
        }
    )


def keep(journal: Journal, rows: int, *, device: str = "r1") -> None:
    made = Capture()
    for number in range(rows):
        body = ItemMoved(epc=f"{number:024x}", gtin=None, serial=None, facing="陈列面", device=device)
        made.effects.tell("item.arrived", body, utc_now())
    journal.submit(made).result(30)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Twelve rows: three forgotten, seven at HQ, five that wait."""
    made = Journal(tmp_path / "var")
    keep(made, 12)
    made.acknowledged("b1", applied=7, safe=5).result(10)
    made.prune(3).result(10)
    return made


def test_the_listing_shows_what_waits_and_with_all_what_is_kept(tmp_path: Path, journal: Journal) -> None:
    waiting = outbox.listing(settings(tmp_path), "waiting", limit=2)
    assert [(row["seq"], row["kind"], row["waits"]) for row in waiting["rows"]] == [
        (8, "item.arrived", True), (9, "item.arrived", True),
    ]  # fmt: skip
    bodies = [row.body for row in journal.rows_after(7, limit=99)]
    assert (waiting["count"], waiting["bytes"]) == (5, sum(len(body.encode()) for body in bodies))
    assert 0 <= waiting["rows"][0]["age_s"] == waiting["oldest_age_s"] < 60
    position = {key: waiting[key] for key in ("applied", "safe", "base_seq", "last_seq", "branch")}
    assert position == {"applied": 7, "safe": 5, "base_seq": 3, "last_seq": 12, "branch": "b1"}
    kept = outbox.listing(settings(tmp_path), "kept", limit=99)
    assert [row["seq"] for row in kept["rows"] if not row["waits"]] == [4, 5, 6, 7]
    journal.acknowledged("b1", applied=12, safe=12).result(10)
    journal.prune(12).result(10)
    empty = outbox.listing(settings(tmp_path), "waiting", limit=99)
    assert (empty["count"], empty["bytes"], empty["oldest_at"], empty["rows"]) == (0, 0, None, [])
    assert (empty["last_seq"], empty["base_seq"]) == (12, 12)
    journal.close()


def test_a_stopped_journal_is_listed_and_copied_and_nothing_in_its_folder_changes(
    tmp_path: Path, journal: Journal
) -> None:
    journal.close()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "var").iterdir()}
    assert outbox.listing(settings(tmp_path), "kept", limit=99)["count"] == 9
    assert outbox.export(settings(tmp_path), "kept", to=str(tmp_path / "copy"))["count"] == 9
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "var").iterdir()} == before


@pytest.mark.parametrize("which", ["waiting", "kept"])
def test_a_copy_holds_each_row_as_it_is_sent_and_verifies_as_the_reference_says(
    tmp_path: Path, journal: Journal, which: Which
) -> None:
    copy = tmp_path / "copy.jsonl"
    facts = outbox.export(settings(tmp_path), which, to=str(copy))
    rows = [json.loads(line) for line in copy.read_text(encoding="utf-8").splitlines()]
    first = 8 if which == "waiting" else 4
    assert (facts["count"], facts["first_seq"], facts["last_seq"]) == (len(rows), first, 12)
    for row, sent in zip(rows, journal.rows_after(first - 1, limit=99), strict=True):
        assert row == {name: getattr(sent, name) for name in sent.__struct_fields__}
    assert facts["base_chain"] == (journal.chain_at(3) or b"").hex()
    [text] = re.findall(r"```python\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", text, copy, facts["prev_chain"]], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == facts["last_chain"] == journal.last_chain.hex()
    journal.close()


def test_the_commands_print_what_a_person_reads_and_facts_beside_a_copy_on_stdout(
    tmp_path: Path, journal: Journal
) -> None:
    config = tmp_path / "store.yaml"
    config.write_text("store: {id: s1}\nagent: {data_dir: ./var}\n")
    ask = partial(CliRunner().invoke, app, catch_exceptions=False)
    lines = ask(["outbox", "list", "-c", str(config), "--limit", "2", "--all"]).stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["seq", "kind"],
        ["4", "item.arrived"],
        ["5", "item.arrived"],
    ]
    assert lines[1].split()[-2:] == ["has", "it"]
    assert lines[3] == "… and 7 more, see --limit"
    assert lines[4].startswith("9 rows, ")
    assert lines[4].endswith("; newest 12, applied 7, safe 5, base 3")
    copied = ask(["outbox", "export", "-", "-c", str(config)])
    assert [json.loads(line)["seq"] for line in copied.stdout.splitlines()] == [8, 9, 10, 11, 12]
    assert copied.stderr.splitlines()[0].startswith("5 rows, 8 to 12; base: row 3, chain ")
    assert copied.stderr.splitlines()[1].endswith(f"behind the last {journal.last_chain.hex()}")
    journal.close()


def test_an_empty_copy_is_a_file_without_rows(tmp_path: Path) -> None:
    Journal(tmp_path / "var").close()
    facts = outbox.export(settings(tmp_path), "waiting", to=str(tmp_path / "copy"))
    assert (facts["count"], facts["first_seq"], facts["last_seq"]) == (0, None, None)
    assert facts["prev_chain"] == facts["last_chain"] == facts["base_chain"] == "0" * 32
    assert (tmp_path / "copy").read_bytes() == b""


def test_rows_that_are_forgotten_while_the_ends_are_looked_up_are_not_missing(tmp_path: Path) -> None:
    def forget_at_a_step() -> int:
        nonlocal left
        left -= 1
        if left == 0:
            journal.prune(journal.last_seq).result(10)
        return 0

    journal, step, left = Journal(tmp_path / "var", commit_window_s=0), 0, 0
    with opened(journal.path) as db:
        stretch_of(db, "kept")  # has read the schema
        while left <= 0:  # until a look-up has fewer steps
            step, left = step + 1, step + 1
            keep(journal, 2)
            journal.acknowledged("b", applied=journal.last_seq - 1, safe=journal.last_seq - 1).result(10)
            db.set_progress_handler(forget_at_a_step, 1)
            stretch = stretch_of(db, "waiting")
            db.set_progress_handler(None, 0)
            assert (stretch.after, stretch.rows) == (2 * step - 1, 1)
    assert step > 5
    journal.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("update outbox set body = replace(body, 'r1', 'r2') where seq = 9", "not what their chain says"),
        ("update outbox set eid = zeroblob(16) where seq = 12", "not what their chain says"),
        ("delete from outbox where seq = 9", "row 9 is not there"),
        ("delete from outbox where seq < 12", "row 7, which HQ has applied, is missing"),
    ],
)
def test_no_copy_is_left_of_rows_that_are_not_what_was_journaled(
    tmp_path: Path, journal: Journal, change: str, message: str
) -> None:
    journal.close()
    with sqlite3.connect(journal.path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(JournalError, match=message):
        outbox.export(settings(tmp_path), "waiting", to=str(tmp_path / "copy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token", "var"]


def test_a_long_copy_needs_no_memory_for_it_and_holds_no_transaction(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "var")
    for _ in range(8):
        keep(journal, 1_000, device="d" * 1_000)
    with opened(journal.path) as db:
        pieces = slices(db, stretch_of(db, "kept"))
        next(pieces)
        tracemalloc.start()
        for number, _rows in enumerate(pieces):
            assert not db.in_transaction
            if number == 3:
                journal.acknowledged("b", applied=8_000, safe=8_000).result(10)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4_000_000, "all rows are 8 MB and more"
    with pytest.raises(JournalError, match="row 501 is not there any more"), opened(journal.path) as db:  # noqa: PT012  # in the loop
        for rows in slices(db, stretch_of(db, "kept")):
            assert rows[0].seq == 1
            journal.prune(8_000).result(10)
    journal.close()


@examples(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 9), st.data())
def test_what_waits_and_what_is_at_hq_are_all_that_is_kept(
    tmp_path_factory: pytest.TempPathFactory, rows: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("s")
    applied = data.draw(st.integers(0, rows))
    pruned = data.draw(st.integers(0, applied))
    journal = Journal(folder / "var")
    if rows:
        keep(journal, rows)
    journal.acknowledged("b", applied=applied, safe=applied).result(10)
    journal.prune(pruned).result(10)
    for name, which, behind in (("w", "waiting", applied), ("k", "kept", pruned)):
        facts = outbox.export(settings(folder), which, to=str(folder / name))  # type: ignore[arg-type]  # a Which
        seqs = [json.loads(line)["seq"] for line in (folder / name).read_text().splitlines()]
        assert seqs == list(range(behind + 1, rows + 1))
        assert facts["prev_chain"] == (journal.chain_at(behind) or b"").hex()
    journal.close()


@pytest.mark.parametrize("command", ["listing", "export", "resync"])
def test_no_journal_a_damaged_one_and_a_newer_one_end_clearly_and_stay_as_they_are(
    tmp_path: Path, command: str
) -> None:
    def ask() -> None:
        match command:
            case "listing":
                outbox.listing(settings(tmp_path), "kept", limit=9)
            case "export":
                outbox.export(settings(tmp_path), "kept", to=str(tmp_path / "copy"))
            case _:
                asyncio.run(outbox.resync(settings(tmp_path)))

    path = tmp_path / "var/journal.db"
    with pytest.raises(ConfigError, match="there is no journal at"):
        ask()
    assert not path.parent.exists()
    path.parent.mkdir()
    for content, message in ((b"no database at all, but long " * 200, "is damaged"), (b"", "no tables yet")):
        path.write_bytes(content)
        with pytest.raises(JournalError, match=message) as error:
            ask()
        assert error.value.hint
        assert path.read_bytes() == content
    path.unlink()
    Journal(tmp_path / "var").close()
    with sqlite3.connect(path) as db:
        db.execute(f"pragma user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(SchemaTooNew, match=f"schema {VERSION + 1}"):
        ask()
    assert not (tmp_path / "copy").exists()


async def test_a_resync_of_a_stopped_agent_is_a_mark_that_may_be_set_twice(tmp_path: Path) -> None:
    Journal(tmp_path / "var").close()
    assert await outbox.resync(settings(tmp_path)) == {"rows": 0, "duplicate": False, "at_next_start": True}
    assert (await outbox.resync(settings(tmp_path)))["duplicate"]
    journal = Journal(tmp_path / "var")
    assert journal.recall(RESYNC) == WANTED
    journal.close()


async def test_a_resync_beside_an_agent_that_does_not_answer_takes_no_writes_or_has_no_uplink(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "var")
    with pytest.raises(ConfigError, match="takes no writes") as error:
        await outbox.resync(settings(tmp_path))
    assert "stop the agent" in error.value.hint
    with pytest.raises(AgentUnreachable, match="no agent answers"):
        await outbox.resync(settings(tmp_path, port=1, token_file=str(tmp_path / "token")))
    assert journal.recall(RESYNC) is None
    journal.close()
    alone = settings(tmp_path).model_copy(update={"uplink": None})
    with pytest.raises(ConfigError, match="no uplink"):
        await outbox.resync(alone)


async def test_a_resync_of_a_journal_that_is_damaged_inside_says_that_the_start_does_all(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "var")
    keep(journal, 500)
    journal.close()
    content = bytearray(journal.path.read_bytes())
    content[4096 * 20 : 4096 * 22] = b"\xff" * 8192
    journal.path.write_bytes(content)
    with pytest.raises(JournalError, match=r"damaged and is kept as journal\.damaged-") as error:
        await outbox.resync(settings(tmp_path))
    assert "start the agent" in error.value.hint
    [kept] = (tmp_path / "var").glob("journal.damaged-*.db")
    assert kept.read_bytes() == content
