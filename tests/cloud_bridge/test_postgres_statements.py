"""What PostgreSQL is sent: any text comes back as it was, and errors tell no secret."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_bridge.config import BridgeSettings, read_settings
from cloud_bridge.errors import BadRequest, Unavailable
from cloud_bridge.picture import FeedEntry
from cloud_bridge.store.postgres import PostgresEngine, commands, schema
from cloud_bridge.store.postgres.database import Address, Database
from cloud_bridge.store.postgres.feed import publish
from cloud_bridge.store.postgres.many import Columns
from cloud_bridge.store.postgres.schema import MIGRATIONS, migrate, schema_version
from cloud_bridge.store.postgres.sealing import opened, sealed
from cloud_bridge.store.records import CommandRecord
from edge_agent.contract.errors import ConfigError, DatabaseAway, SchemaTooNew
from tests.postgres import database_of

AWKWARD = st.text(alphabet="\0\x1e\x1f\U0010ffff0123'\\ä🦾,", max_size=8)
NOW = "2026-11-22T10:00:09.000Z"
COLUMNS = Columns.of("a text, b text?, c bigint?, d float8, e bool, f bytea")


@given(st.text() | AWKWARD)
def test_sealed_text_opens_to_itself_and_has_nothing_that_postgresql_refuses(text):
    held = sealed(text)
    assert opened(held) == text
    assert not set(held) & set("\0\x1e\x1f")


@pytest.fixture
async def tables(postgres_url):
    made = Database(Address(postgres_url))
    await made.open()
    yield made
    await made.close()


async def test_rows_come_back_as_they_were(tables):
    r = Random(7)
    texts = ["", "\0", "\x1f", "\x1e", "\U0010ffff0", "ä'\\", "plain", "\U0010ffff\0\x1f1"]
    numbers = [None, 0, -(2**63), 2**63 - 1]
    for count in (1, 2, 50):
        rows = [
            (
                r.choice(texts), r.choice([None, *texts]), r.choice(numbers), r.choice([0.1, -1e300, float("inf")]),
                r.random() < 0.5, r.choice([b"", b"\0\xff", r.randbytes(16)]),
            )
            for _ in range(count)
        ]  # fmt: skip
        sql = f"select {', '.join(COLUMNS.values)} from {COLUMNS.rows(1)} order by place"  # noqa: S608 - our names
        found = await tables.ask(lambda c, sql=sql, rows=rows: c.fetch(sql, *COLUMNS.of_rows(rows)))
        assert [tuple(row) for row in found] == rows


async def test_a_newer_schema_is_refused_and_an_unfinished_one_leaves_nothing(postgres):
    url = postgres.new_database()
    database = Database(Address(url))
    await database.open()
    try:
        with pytest.raises(RuntimeError):
            await database.write(_breaking_off)
        assert await database.ask(schema_version) == 0
        await database.write(lambda tx: migrate(tx.connection))
        await database.write(lambda tx: migrate(tx.connection))
        assert await database.ask(schema_version) == len(MIGRATIONS)
        await database.ask(lambda c: c.execute("update meta set value = '999' where key = 'schema_version'"))
        with pytest.raises(SchemaTooNew, match="999"):
            await database.write(lambda tx: migrate(tx.connection))
    finally:
        await database.close()


async def test_a_database_of_an_older_version_is_upgraded_with_what_it_holds(postgres, monkeypatch):
    url = postgres.new_database()
    database = Database(Address(url))
    await database.open()
    try:
        with monkeypatch.context() as older:
            older.setattr(schema, "MIGRATIONS", MIGRATIONS[:1])
            await database.write(lambda tx: migrate(tx.connection))
        await database.ask(lambda c: c.execute("insert into store (store, added_at) values ('s1', '')"))
        await asyncio.gather(*(database.write(lambda tx: migrate(tx.connection)) for _ in range(3)))
        assert await database.ask(schema_version) == len(MIGRATIONS) == 2
        assert await database.ask(lambda c: c.fetchval("select store from store")) == "s1"
        assert await database.ask(lambda c: c.fetchval("select count(*) from reservation")) == 0
    finally:
        await database.close()


async def _breaking_off(tx):
    await migrate(tx.connection)
    raise RuntimeError


async def test_a_wrong_password_is_told_without_it(tmp_path, postgres):
    secret = tmp_path / "password"
    secret.write_text("very-secret\n")
    with pytest.raises(DatabaseAway) as refused:
        await PostgresEngine.open(Address(postgres.url("nowhere"), secret))
    assert "very-secret" not in f"{refused.value} {refused.value.hint}"
    assert "nowhere" in str(refused.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        await PostgresEngine.open(Address(postgres.url("nowhere"), tmp_path / "missing"))


async def test_what_another_waits_for_too_long_is_unavailable_and_a_deadlock_is_done_again(tables):
    await tables.ask(lambda c: c.execute("insert into person values ('a', 'ops', ''), ('b', 'ops', '')"))
    first, second = asyncio.Event(), asyncio.Event()

    async def both(tx, names, mine, other):
        await tx.connection.execute("update person set added_at = added_at || 'x' where name = $1", names[0])
        mine.set()
        await other.wait()
        await tx.connection.execute("update person set added_at = added_at || 'x' where name = $1", names[1])

    await asyncio.gather(
        tables.write(lambda tx: both(tx, "ab", first, second)),
        tables.write(lambda tx: both(tx, "ba", second, first)),
    )
    rows = await tables.ask(lambda c: c.fetch("select added_at from person order by name"))
    assert [at for (at,) in rows] == ["xx", "xx"]
    async with tables._connection() as holder, holder.transaction():
        await holder.execute("update person set added_at = '' where name = 'a'")
        with pytest.raises(Unavailable, match="lock timeout"):
            await tables.write(_too_long)


async def test_a_text_that_no_column_can_hold_is_the_caller_s_mistake(tables):
    with pytest.raises(BadRequest, match=r"U\+0000"):
        await tables.ask(lambda c: c.fetch("select 1 from store where store = $1", "s\0"))


async def _too_long(tx):
    await tx.connection.execute("set local lock_timeout = '50ms'")
    await tx.connection.execute("update person set added_at = 'y' where name = 'a'")


def test_a_bare_install_says_which_extra_is_missing(tmp_path):
    (tmp_path / "bridge.yaml").write_text("database: postgresql://hq@127.0.0.1:1/hq\n")
    code = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from cloud_bridge.cli import main\n"
        "sys.argv = ['cloud-bridge', 'audit', '-c', 'bridge.yaml']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'shelf-edge[postgres]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://hq:top-secret@db/hq", "password_file"),
        ("postgresql://hq@db/hq?password=top-secret", "password_file"),
        ("postgresql://db/hq", "no user"),
        ("postgresql://hq@db", "no name of a database"),
        ("postgresql://hq@/hq", "no host"),
        ("postgresql://hq@db/hq?sslmod=require", "?sslmod= is not known"),
        ("mysql://hq@db/hq", "found 'mysql'"),
    ],
)
def test_an_address_that_cannot_be_is_told_without_its_password(tmp_path, url, says):
    path = tmp_path / "bridge.yaml"
    path.write_text(f"database: {url}\n")
    with pytest.raises(ConfigError) as refused:
        read_settings(path)
    told = f"{refused.value} {refused.value.problems}"
    assert says in told
    assert "top-secret" not in told


def test_several_hosts_and_a_socket_are_addresses(tmp_path):
    for url in (
        "postgresql://hq@one:5432,two/hq?sslmode=verify-full",
        "postgresql://hq@/hq?host=/run/postgresql",
    ):
        assert BridgeSettings(database=url, safe="replica").is_postgres


async def test_what_a_server_or_its_owner_sets_otherwise_is_set_back(postgres):
    url = postgres.new_database()
    for setting in (
        "default_transaction_isolation = 'repeatable read'",
        "synchronous_commit = off",
        "lock_timeout = 0",
    ):
        postgres.sql(f"alter database {database_of(url)} set {setting}")
    database = Database(Address(url))
    await database.open()
    try:
        shown = [
            await database.ask(lambda c, name=name: c.fetchval(f"show {name}"))
            for name in ("transaction_isolation", "synchronous_commit", "lock_timeout")
        ]
    finally:
        await database.close()
    assert shown == ["read committed", "on", "5s"]


async def test_a_command_that_is_committed_while_others_are_handed_out_is_not_passed_by(postgres_url):
    engine = await PostgresEngine.open(Address(postgres_url))
    await engine.database.ask(lambda c: c.execute("insert into store (store, added_at) values ('s1', '')"))

    async def add(n):
        at = f"2026-11-22T10:00:0{n}.000Z"
        body = json.dumps({"facing": f"A{n}"})
        command = CommandRecord(f"{n:032x}", "s1", "recount", body, "me", at, "2099-01-01T00:00:00.000Z")
        return await engine.add_command(command)

    class Meanwhile:
        """Another process commits a command behind each look for commands."""

        def __init__(self, connection):
            self._connection, self._number = connection, 1

        def __getattr__(self, name):
            return getattr(self._connection, name)

        async def fetchval(self, query, *args):
            return await self._then(self._connection.fetchval(query, *args))

        async def fetch(self, query, *args):
            return await self._then(self._connection.fetch(query, *args))

        async def _then(self, question):
            answer = await question
            self._number += 1
            await add(self._number)
            return answer

    async def hand_out(tx):
        tx.connection = Meanwhile(tx.connection)
        return await commands.hand_out(tx, "s1", after=0, newest=0, now=NOW)

    try:
        await add(1)
        first, _ = await engine.database.write(hand_out)
        rest = await engine.hand_out_commands("s1", after=first.after, newest=0, now=NOW)
        handed = [command.body["facing"] for command in (*first.commands, *rest.commands)]
        assert handed == [f"A{n}" for n in range(1, len(handed) + 1)]
        left = await engine.database.ask(lambda c: c.fetchval("select count(*) from command"))
        assert len(handed) == left > 2
    finally:
        await engine.close()


async def test_a_task_that_has_ended_is_heard_of(postgres_url):
    engine = await PostgresEngine.open(Address(postgres_url))

    def odd(_events):
        raise ZeroDivisionError

    engine.tail._on_published = odd
    await engine.database.ask(lambda c: c.execute("insert into store (store, added_at) values ('s1', '')"))
    entry = FeedEntry(b"1" * 16, 1, "device.changed", NOW, NOW, b"{}")
    await engine._write(lambda tx: publish(tx, "s1", [entry]))
    try:
        async with asyncio.timeout(10):
            with pytest.raises(ZeroDivisionError):
                await until_it_fails(engine)
    finally:
        await engine.close()


async def until_it_fails(engine):
    while True:
        await engine.changed()
