"""Rows a second into the journal with `synchronous=FULL`, beside a bare sqlite3 loop of the same rows."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from pathlib import Path

from edge_agent.contract.messages import CHAIN_START, ItemMoved, fold_chain
from edge_agent.contract.times import utc_now
from edge_agent.journal import Capture, Journal

ROWS, GROUP = 50_000, 500


def main() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        ours, bare = through_journal(Path(name)), through_sqlite(Path(name))
    return {
        "journal_rows_per_s": round(ours),
        "bare_sqlite_rows_per_s": round(bare),
        "ratio": round(ours / bare, 3),
    }


def through_journal(folder: Path) -> float:
    journal = Journal(folder / "journal")
    assert journal.durability == ("wal", "full")
    began = time.perf_counter()
    waits = [journal.submit(capture(n)) for n in range(ROWS)]
    for wait in waits:
        wait.result(60)
    rate = ROWS / (time.perf_counter() - began)
    rows = journal.rows_after(0, limit=ROWS + 1)
    assert len(rows) == ROWS
    assert fold_chain(CHAIN_START, rows) == journal.chain_at(ROWS)
    journal.close()
    return rate


def capture(n: int) -> Capture:
    made = Capture()
    body = ItemMoved(epc=f"{n:024x}", gtin=None, serial=None, facing="A1-01", device="rfid-a")
    made.effects.tell("item.arrived", body, utc_now())
    return made


def through_sqlite(folder: Path) -> float:
    """The physical limit: the same bytes, no chain, no threads, no objects."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute(
        "create table outbox(seq integer primary key, eid blob, chain blob, kind, version, at, boot, mono, body)"
    )
    body = json.dumps({"epc": "0" * 24, "gtin": None, "serial": None, "facing": "A1-01", "device": "rfid-a"})
    row = (b"0" * 16, b"0" * 16, "item.arrived", 1, "2026-11-22T10:00:00.123Z", "0" * 16, 1, body)
    began = time.perf_counter()
    for start in range(0, ROWS, GROUP):
        db.execute("begin immediate")
        db.executemany(
            "insert into outbox values(?,?,?,?,?,?,?,?,?)", [(start + n, *row) for n in range(GROUP)]
        )
        db.execute("commit")
    rate = ROWS / (time.perf_counter() - began)
    db.close()
    return rate


if __name__ == "__main__":
    print(json.dumps(main()))
