"""No order of calls promises an item twice: random histories on the real engine, and fifty clients at once.

Two judges, neither of which knows HQ's rules: a trigger in the database that looks at every reservation in the
moment in which it is written, and a shelf of which the test itself knows what lies there. The negative controls
show that both can find an oversell.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_bridge.config import Promises
from cloud_bridge.errors import ReservationOver, Unavailable
from cloud_bridge.promises import available
from cloud_bridge.rows import make_ready
from cloud_bridge.store.records import Credential
from cloud_bridge.store.reservations import Wanted
from cloud_bridge.store.sqlite import SqliteEngine
from edge_agent.contract.messages import Hello, Position, StoreProfile
from edge_agent.contract.times import rfc3339

pytestmark = pytest.mark.engines

STORES = ("s1", "s2")
FULL = 6
RULES = Promises(pick_within_s=10**9)
IS_OVERSOLD = """
    (select sum(claimed) from reservation where store = new.store and gtin = new.gtin) >
    (select coalesce(sum(on_hand), 0) from shown_facing where store = new.store and gtin = new.gtin)
"""
SQLITE_TRIGGER = f"""
create trigger oversold after insert on reservation when new.state = 'held' begin
  select raise(abort, 'oversold') where {IS_OVERSOLD};
end
"""
POSTGRESQL_TRIGGER = f"""
create or replace function oversold() returns trigger language plpgsql as $$ begin
  if {IS_OVERSOLD} then raise 'oversold'; end if;
  return new;
end $$;
create or replace trigger oversold after insert on reservation for each row when (new.state = 'held')
  execute function oversold()
"""


async def in_sql(engine, statement):
    """What no engine offers: a statement of the test's own."""
    if isinstance(engine, SqliteEngine):
        await engine.writer.submit(lambda tx: tx.connection.execute(statement))
    else:
        await engine.database.ask(lambda connection: connection.execute(statement))


async def look_at_every_reservation(engine):
    """From now on the database refuses one that nobody should have got."""
    await in_sql(engine, SQLITE_TRIGGER if isinstance(engine, SqliteEngine) else POSTGRESQL_TRIGGER)


def by_the_rules(stock, now):
    return available(stock, RULES, as_of=rfc3339(now), now=now)


class Shops:
    """Two stores with six of an item each; what happens on their shelves, and what HQ has been told of it."""

    def __init__(self, make, opened, judge=by_the_rules) -> None:
        self.make, self.opened, self.judge = make, opened, judge
        self.now = datetime(2026, 11, 22, 10, tzinfo=UTC)
        self.outboxes = {store: make.Outbox() for store in STORES}
        self.lines = {}
        self.sending = {store: asyncio.Lock() for store in STORES}
        self.lies = dict.fromkeys(STORES, FULL)
        self.untold = Counter()
        self.held: dict[str, tuple[str, int, str]] = {}
        self.known: list[str] = []
        self.handed_over = Counter()

    async def open(self) -> None:
        self.engine = await self.opened()
        if not await self.engine.credentials():
            await look_at_every_reservation(self.engine)
        for n, store in enumerate(STORES):
            outbox = self.outboxes[store]
            if not outbox.rows:
                await self.engine.add_credential(Credential(bytes([n]) * 32, "store", store, None, "", None))
                outbox.add(self.make.planogram(("A1", self.make.COLA)), self.row(FULL))
            hello = Hello(
                store=store, agent_id="a", boot_id="b", last_seq=outbox.last_seq, base_seq=0,
                base_chain=outbox.base[1].hex(), versions={}, sent_at=self.make.AT,
                locator=[Position(s, outbox.chain_at(s).hex()) for s in range(outbox.last_seq, -1, -1)],
                profile=StoreProfile(name="", timezone="UTC"),
            )  # fmt: skip
            welcome = await self.engine.hello(store, hello, received_at=self.make.AT)
            self.lines[store] = [welcome.session, welcome.branch, welcome.merge.seq]
            await self.send(store)

    def row(self, on_hand: int):
        return self.make.stock("A1", on_hand, confidence=1.0)

    async def send(self, store: str) -> None:
        """All there is, behind what is on its way, as an agent does."""
        async with self.sending[store]:
            session, branch, applied = self.lines[store]
            last = self.outboxes[store].last_seq
            if last > applied:
                batch = self.outboxes[store].batch(session, branch, applied + 1, last)
                await self.engine.batch(store, make_ready(batch), received_at=self.make.AT)
                self.lines[store][2] = last

    # --- what happens, some of it at once ---

    async def reserve(self, store: str | None, quantity: int, ttl_s: int) -> None:
        candidates = STORES if store is None else [store]
        wanted = Wanted(
            id=uuid.uuid4().hex, key=uuid.uuid4().bytes, body=b"", gtin=self.make.COLA, quantity=quantity,
            ttl_s=ttl_s, by="", store=store, candidates=candidates,
        )  # fmt: skip
        record = await self.engine.reserve(wanted, self.judge, lambda: self.now)
        if record.state == "held":
            self.held[record.reservation] = record.store, quantity, record.expires_at
            self.known.append(record.reservation)

    async def collect(self, which: int) -> None:
        reservation = self.one(which)
        if reservation is None:
            return
        try:
            record = await self.engine.collect(reservation, lambda: self.now)
        except ReservationOver:
            return
        if reservation in self.known:
            self.known.remove(reservation)
            self.held.pop(reservation, None)
            self.handed_over[record.store] += record.quantity
            self.take(record.store, record.quantity)

    async def release(self, which: int) -> None:
        reservation = self.one(which)
        if reservation is None:
            return
        try:
            await self.engine.release(reservation, lambda: self.now)
        except ReservationOver:
            return
        self.held.pop(reservation, None)
        if reservation in self.known:
            self.known.remove(reservation)

    async def tell(self, store: str, items: int) -> None:
        """The shelf tells of some of what has left it, a row an item."""
        items = min(items, self.untold[store])
        shown = self.lies[store] + self.untold[store]
        self.untold[store] -= items
        if items:
            self.outboxes[store].add(*(self.row(shown - n - 1) for n in range(items)))
            await self.send(store)

    async def shop(self, store: str, items: int) -> None:
        """A shopper takes something that nobody has reserved, as the shopper sees it."""
        self.take(store, min(items, self.lies[store]))

    def take(self, store: str, items: int) -> None:
        self.lies[store] -= items
        self.untold[store] += items

    def one(self, which: int) -> str | None:
        return self.known[which % len(self.known)] if self.known else None

    def pass_time(self, seconds: float) -> None:
        """What has expired once is nobody's any more, also when the clock is put back."""
        self.now += timedelta(seconds=seconds)
        now = rfc3339(self.now)
        self.held = {key: hold for key, hold in self.held.items() if hold[2] > now}

    # --- judging ---

    def promised(self, store: str) -> int:
        """Items that somebody holds now or has got."""
        return sum(q for where, q, _ in self.held.values() if where == store) + self.handed_over[store]

    async def check_nothing_is_promised_twice(self) -> None:
        for store in STORES:
            assert self.promised(store) <= FULL, f"oversold: {self.promised(store)} of {FULL} at {store}"

    async def check_nothing_is_kept_for_nobody(self) -> None:
        """Once all is told and every hold is over, everything that nobody has got can be had again."""
        self.pass_time(10_000)
        for store in STORES:
            await self.tell(store, FULL)
        found = {
            stock.store.store: by_the_rules(stock, self.now)
            for stock in await self.engine.stock(self.make.COLA)
        }
        assert found == {store: FULL - self.promised(store) for store in STORES}


store_names = st.sampled_from(STORES)
reserving = st.tuples(
    st.just("reserve"), st.none() | store_names, st.integers(1, 4), st.sampled_from([5, 600])
)
ending = st.tuples(st.sampled_from(["collect", "release"]), st.integers(0, 9))
telling = st.tuples(st.just("tell"), store_names, st.integers(1, 4))
shopping = st.tuples(st.just("shop"), store_names, st.integers(1, 3))


def histories(*calls):
    """Bursts of calls at once, with the seconds that pass behind each; a clock may also be put back."""
    burst = st.tuples(
        st.lists(st.one_of(*calls), min_size=1, max_size=6), st.sampled_from([0, 1, 6, -30, None])
    )
    return st.lists(burst, min_size=1, max_size=7)


async def run(shops: Shops, history) -> None:
    await shops.open()
    try:
        for calls, passes_s in history:
            await asyncio.gather(*(getattr(shops, name)(*arguments) for name, *arguments in calls))
            await shops.check_nothing_is_promised_twice()
            if passes_s is None:
                await shops.engine.close()
                await shops.open()
            else:
                shops.pass_time(passes_s)
        await shops.check_nothing_is_kept_for_nobody()
    finally:
        await shops.engine.close()


def each(histories, database, check) -> None:
    """`check` random histories; fewer where an engine is slower to open. One loop an example."""
    examples = 20 if database == "sqlite" else 8
    given(history=histories)(
        settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(check)
    )()


def test_nothing_is_promised_twice_nor_kept_for_nobody(make, database, new_engine):
    async def check(history) -> None:
        await run(Shops(make, await new_engine()), history)

    each(
        histories(reserving, reserving, ending, telling),
        database,
        lambda history: asyncio.run(check(history)),
    )


class Busy(Shops):
    """Shops with shoppers: what was promised may be gone from the shelf, HQ can only know what it was told."""

    async def check_nothing_is_promised_twice(self) -> None:
        """The trigger does."""

    async def check_nothing_is_kept_for_nobody(self) -> None:
        """Not so: a shopper's item counts for a collected one until the shelf has told of both."""


def test_with_shoppers_nothing_is_promised_beyond_what_hq_was_told(make, database, new_engine):
    async def check(history) -> None:
        await run(Busy(make, await new_engine()), history)

    calls = histories(reserving, reserving, ending, telling, shopping)
    each(calls, database, lambda history: asyncio.run(check(history)))


# --- the judges can find something ---


def blind(stock, _now):
    """Forgets what others have reserved."""
    return stock.on_hand


def forgetful(stock, now):
    """Forgets what was collected before the shelf tells."""
    held = [claim for claim in stock.claims if claim.state == "held"]
    return by_the_rules(type(stock)(stock.store, stock.counts, held), now)


async def test_the_trigger_finds_a_rule_that_forgets_reservations(make, new_engine):
    twice = [([("reserve", "s1", 4, 600), ("reserve", "s1", 4, 600)], 0)]
    with pytest.raises(Unavailable, match="oversold"):
        await run(Shops(make, await new_engine(), judge=blind), twice)


async def test_the_shelf_finds_a_rule_that_forgets_what_was_collected(make, new_engine):
    history = [
        ([("reserve", "s1", 6, 600)], 0), ([("collect", 0)], 0), ([("reserve", "s1", 6, 600)], 0),
    ]  # fmt: skip
    shops = Shops(make, await new_engine(), judge=forgetful)
    with pytest.raises((Unavailable, AssertionError), match="oversold"):
        await run(shops, history)


async def test_the_shelf_finds_what_is_kept_for_nobody(make, new_engine):
    class Deaf(Shops):
        async def send(self, store):
            await super().send(store)
            await in_sql(self.engine, "update reservation set claimed = quantity where state = 'collected'")

    history = [([("reserve", "s1", 2, 600)], 0), ([("collect", 0)], 0)]
    with pytest.raises(AssertionError):
        await run(Deaf(make, await new_engine()), history)


# --- over HTTP ---


async def test_fifty_clients_at_once_get_no_item_twice_while_shoppers_take_some(hq, make):
    stores = [await hq.new_store(f"s{n}") for n in range(3)]
    full = 40
    for store in stores:
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", full, confidence=1.0))
    await look_at_every_reservation(hq.engine)
    got: list[dict] = []

    async def client(seed: int) -> None:
        r = random.Random(seed)
        for n in range(4):
            body = {"gtin": make.COLA, "quantity": r.randint(1, 2)} | (
                {"store": f"s{seed % 3}"} if n % 2 else {}
            )
            headers = {"Authorization": f"Bearer {hq.token}", "Idempotency-Key": f"{seed}/{n}"}
            answers: list[tuple[int, dict]] = []
            for _ in range(2):  # whoever hears no answer sends it again
                async with hq.http.post(f"{hq.url}/v1/reservations", json=body, headers=headers) as reply:
                    answers.append((reply.status, await reply.json(content_type=None)))
            (status, answer), (again, same) = answers
            assert (status, again) in ((201, 201), (409, 409)), answers
            if status == 201:
                assert same == answer
                got.append(answer)

    async def shoppers(store) -> None:
        for left in range(full - 1, full - 11, -1):
            await store.tell(make.stock("A1", left, confidence=1.0))

    await asyncio.gather(*(client(seed) for seed in range(50)), *(shoppers(store) for store in stores))
    promised = Counter()
    for answer in got:
        promised[answer["store"]] += answer["quantity"]
    stock = await hq.get("/v1/stock", gtin=make.COLA)
    assert {item["store"]: item["on_hand"] for item in stock["items"]} == dict.fromkeys(
        ("s0", "s1", "s2"), full - 10
    )
    # Items that were held before a shopper took one are fewer than there were; none was promised beyond that.
    assert all(promised[store] <= full for store in promised)
    assert {i["store"]: i["available"] for i in stock["items"]} == {
        f"s{n}": max(0, full - 10 - promised[f"s{n}"]) for n in range(3)
    }
    page = await hq.get("/v1/reservations", limit=1000)
    listed = [item for item in page["items"] if item["state"] == "held"]
    assert sorted(item["reservation"] for item in listed) == sorted(answer["reservation"] for answer in got)
    assert len(page["items"]) == 50 * 4
