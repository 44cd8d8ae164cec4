"""The feed with several writers at once: who keeps the cursor misses nothing and sees nothing twice."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial

import pytest

from cloud_bridge.errors import BadRequest
from cloud_bridge.picture import FeedEntry
from cloud_bridge.store.cursors import CursorExpired
from cloud_bridge.store.postgres import PostgresEngine
from cloud_bridge.store.postgres.database import Address
from cloud_bridge.store.postgres.feed import publish

WRITERS = 8


@pytest.fixture
async def engine(postgres_url):
    opened = await PostgresEngine.open(Address(postgres_url))
    yield opened
    await opened.close()


def entry(name: str) -> FeedEntry:
    payload = f'{{"facing": "{name}"}}'.encode()
    return FeedEntry(secrets.token_bytes(16), 1, "gap.opened", "t", "t", payload)


class Writer:
    """A transaction that has published and commits when it is told to."""

    def __init__(self, engine: PostgresEngine, store: str) -> None:
        self.published, self.may_commit = asyncio.Event(), asyncio.Event()
        self.entries = [entry(f"{store}-{n}") for n in range(3)]

        async def operation(tx):
            await publish(tx, store, self.entries)
            self.published.set()
            await self.may_commit.wait()

        self.done = asyncio.create_task(engine.database.write(operation))

    async def commit(self) -> None:
        self.may_commit.set()
        await self.done


class Reader:
    """Reads on behind its cursor."""

    def __init__(self, engine: PostgresEngine) -> None:
        self.engine, self.after, self.seen = engine, 0, []

    async def read(self) -> None:
        page = await self.engine.events(self.after, store=None, type_=None, limit=2)
        while page.events:
            self.seen += [event.entry.eid for event in page.events]
            self.after = page.next_n
            page = await self.engine.events(self.after, store=None, type_=None, limit=2)


class NaiveReader(Reader):
    """The control: takes a number that was given inside the transaction for the order of commits."""

    async def read(self) -> None:
        rows = await self.engine.database.ask(
            lambda connection: connection.fetch(
                "select step, eid from feed where step > $1 order by step, place", self.after
            )
        )
        self.seen += [eid for _, eid in rows]
        self.after = max([self.after, *(step for step, _ in rows)])


async def test_numbers_given_at_commit_skip_nothing_where_numbers_given_before_do(engine):
    reader, naive = Reader(engine), NaiveReader(engine)
    writers = [Writer(engine, f"s{n}") for n in range(WRITERS)]
    for writer in writers:
        await writer.published.wait()
    for writer in reversed(writers):
        await writer.commit()
        await reader.read()
        await naive.read()
    published = {e.eid for writer in writers for e in writer.entries}
    assert set(reader.seen) == published
    assert len(reader.seen) == len(published)
    assert set(naive.seen) < published, "the control must skip, or this test proves nothing"


async def test_every_process_delivers_all_in_one_order_once(postgres_url, engine):
    heard: list[list] = [[], []]
    all_heard = asyncio.Event()

    def hear(into, events):
        into += events
        if min(map(len, heard)) == WRITERS * 12:
            all_heard.set()

    others = [await PostgresEngine.open(Address(postgres_url), partial(hear, into)) for into in heard]
    try:

        async def write(store: str) -> None:
            for _ in range(6):
                await others[int(store[1]) % 2].database.write(
                    lambda tx: publish(tx, store, [entry(store)] * 2)
                )

        await asyncio.gather(*(write(f"s{n}") for n in range(WRITERS)))
        async with asyncio.timeout(30):
            await all_heard.wait()
    finally:
        for other in others:
            await other.close()
    page = await engine.events(0, store=None, type_=None, limit=1000)
    ordered = [(event.n, event.store, event.entry.eid) for event in page.events]
    assert [n for n, _, _ in ordered] == list(range(1, WRITERS * 12 + 1))
    assert [[(e.n, e.store, e.entry.eid) for e in events] for events in heard] == [ordered, ordered]


async def test_a_long_transaction_elsewhere_holds_nothing_back(engine):
    slow = Writer(engine, "s1")
    await slow.published.wait()
    await engine.database.write(lambda tx: publish(tx, "s2", [entry("s2")]))
    page = await engine.events(0, store=None, type_=None, limit=10)
    assert [event.store for event in page.events] == ["s2"]
    await slow.commit()


async def test_a_restored_database_gives_its_feed_another_name(postgres, engine, postgres_url):
    renamed = asyncio.Event()
    follower = await PostgresEngine.open(Address(postgres_url), on_renamed=renamed.set)
    await engine.database.write(lambda tx: publish(tx, "s1", [entry("a"), entry("b")]))
    page = await engine.events(0, store=None, type_=None, limit=1)
    kept, ahead = page.next_cursor, engine.cursor(3)
    try:
        await engine.database.ask(
            lambda c: c.execute("update meta set value = 'another/1' where key = 'feed_identity'")
        )
        await follower.database.write(lambda tx: publish(tx, "s1", [entry("c")]))
        follower.news.stir()
        async with asyncio.timeout(30):
            await renamed.wait()
        place = follower.place(kept)
        assert [e.n for e in (await follower.events(place, store=None, type_=None, limit=9)).events] == [2, 3]
        with pytest.raises(CursorExpired):
            follower.place(ahead)
        with pytest.raises(BadRequest):
            follower.place("00000000.1")
    finally:
        await follower.close()


async def test_filters_and_pages_follow_the_same_order(engine):
    for store in ("s1", "s2", "s1"):
        await engine.database.write(lambda tx, s=store: publish(tx, s, [entry(s), entry(s), entry(s)]))
    numbers, after = [], 0
    while found := (page := await engine.events(after, store="s1", type_="gap.opened", limit=2)).events:
        numbers += [event.n for event in found]
        after = page.next_n
    assert numbers == [1, 2, 3, 7, 8, 9]
    assert (await engine.events(0, store="s1", type_="other", limit=9)).next_n == 9
