"""HQ's database of an older version becomes one of this version at the first start."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from cloud_bridge.errors import DataDirUnusable
from cloud_bridge.store.sqlite.audit import audit
from cloud_bridge.store.sqlite.reads import facing
from cloud_bridge.store.sqlite.schema import FILE_NAME, MIGRATIONS, open_reader, open_writer


@pytest.mark.parametrize("as_of_seq", [0, 5])
def test_a_facing_of_before_is_shown_without_a_due_time(tmp_path, as_of_seq):
    path = tmp_path / "bridge.sqlite3"
    old = sqlite3.connect(path)
    old.executescript(f"begin; {MIGRATIONS[0]} pragma user_version = 1; commit")
    old.execute("insert into store (store, added_at, as_of_seq) values ('s1', 'then', ?)", (as_of_seq,))
    old.execute(
        "insert into facing values ('s1', 'A1', '06901234567892', 'Cola', 24, 6, 'S1', 0, 90, 7, 0.9, 'ok',"
        " '[\"weight\"]', null, null, 'then', 3)"
    )
    old.execute(
        "insert into ahead_facing values ('s1', 'A1', '06901234567892', 7, 0.9, 'ok', '[]', null, null, 'now')"
    )
    old.commit()
    old.close()
    open_writer(path).close()
    reader = open_reader(path)
    record = facing(reader, "s1", "A1")
    reader.close()
    assert (record.on_hand, record.version, record.reorder_due_at) == (7, 3, None)
    assert record.received_at == ("now" if as_of_seq else "then")


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_audit_says_of_an_older_database_what_to_do_and_not_that_it_is_damaged(tmp_path, version):
    path = tmp_path / "bridge.sqlite3"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:version]:
        old.executescript(script)
    old.execute(f"pragma user_version = {version}")
    old.execute("insert into store (store, added_at) values ('s1', 'then')")
    old.commit()
    old.close()
    with pytest.raises(DataDirUnusable, match=f"older schema version {version}") as refused:
        audit(path)
    assert "start cloud-bridge once" in refused.value.hint
    open_writer(path).close()
    assert [(result.store, result.problems) for result in audit(path)] == [("s1", [])]


async def test_a_database_of_each_older_version_is_upgraded_with_what_is_in_it(start_hq, tmp_path, make):
    """Rows made by today's program, in the columns that the older version had."""
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 5), make.stock("A1", 3))
        shown, events = await hq.shown(), [event["eid"] for event in await hq.events()]
    for version in range(1, len(MIGRATIONS)):
        data = tmp_path / f"v{version}"
        data.mkdir()
        with closing(sqlite3.connect(data / FILE_NAME, isolation_level=None)) as old:
            for script in MIGRATIONS[:version]:
                old.executescript(script)
            old.execute(f"pragma user_version = {version}")
            old.execute("attach ? as today", (str(tmp_path / "hq" / FILE_NAME),))
            for (table,) in old.execute("select name from sqlite_master where type = 'table'").fetchall():
                columns = ", ".join(row[1] for row in old.execute(f"pragma main.table_info({table})"))
                old.execute(f"insert into main.{table} ({columns}) select {columns} from today.{table}")  # noqa: S608 - names of our own schema
        async with start_hq(data) as hq:
            assert await hq.shown() == await hq.sums() == shown == {"A1": 3}
            assert [event["eid"] for event in await hq.events()] == events
            assert await hq.audit_problems() == []
            again = await hq.again(store)
            assert (await again.hello())["applied"][0] == 3
