"""What must hold after a history has healed; each sentence that comes back is a broken promise."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import msgspec

from cloud_bridge.store.sqlite.audit import audit
from cloud_bridge.store.sqlite.history import ancestry
from edge_agent.contract.messages import CommandDone
from tests.simulation.gateway import Gateway
from tests.simulation.hq import STORE, changes, reading
from tests.simulation.world import World

Shown = dict[str, tuple[str, int | None]]


def problems(world: World) -> list[str]:
    """Nothing lost, nothing doubled, everything shown as the store believes it; empty when all is well."""
    found = list(audit(world.hq.file)[0].problems)
    found += _events(world)
    found += _shown(world)
    found += _feed(world)
    found += _provisional(world.hq.view)
    found += _commands(world.hq.view, may_be_repeated=world.was_restored or world.was_cloned)
    found += [f"nobody caught {failure}" for failure in world.loop.failures]
    return found


def _events(world: World) -> Iterator[str]:
    rows = world.hq.ledger()
    if world.is_unhealed:
        yield "a gateway on a clean line does not get through"
    yield from (f"event {eid.hex()} is there {n} times" for eid, n in rows.items() if n > 1)
    buried = {eid for gateway in world.gateways for eid in _below_a_root(world, gateway)}
    untold = world.held() - rows.keys() - buried
    yield from (f"event {eid.hex()} is held and not told" for eid in sorted(untold))
    missing = world.acknowledged.keys() - rows.keys() - world.excused - buried
    yield from (f"event {eid.hex()} is lost" for eid in sorted(missing))


def _below_a_root(world: World, gateway: Gateway) -> set[bytes]:
    """A known limit: an HQ that lost everything began anew where one gateway's memory begins; what another
    copy of that disk still has from before is not asked for."""
    roots = world.hq.view.execute(
        "select start_seq, start_chain from branch where parent is null and start_seq > 0"
    ).fetchall()
    with closing(reading(gateway.file)) as db:
        return {
            eid
            for seq, chain in roots
            if db.execute("select 1 from outbox where seq = ? and chain = ?", (seq, chain)).fetchone()
            for (eid,) in db.execute("select eid from outbox where seq <= ?", (seq,))
        }


def _shown(world: World) -> Iterator[str]:
    gateway, engine = world.gateways[-1], world.hq.engine
    page = world.loop.finish(engine.facing_page(STORE, status=None, after="", limit=99))
    shown = {f.facing: (f.gtin, f.on_hand) for f in page}
    believed = {b.facing: (b.gtin, b.on_hand) for b in gateway.beliefs.values()}
    if _claims(shown) != _claims(believed) and not _below_a_root(world, gateway):
        yield f"HQ shows {shown}, the gateway believes {believed}"


def _feed(world: World) -> Iterator[str]:
    engine = world.hq.engine
    page = world.loop.finish(engine.facing_page(STORE, status=None, after="", limit=99))
    events = world.loop.finish(engine.events(0, store=STORE, type_=None, limit=100_000)).events
    twice = [eid for eid, n in Counter(e.entry.eid for e in events).items() if n > 1]
    yield from (f"feed has event {eid.hex()} more than once" for eid in twice)
    sums = {facing: n for facing, n in changes(events).items() if n}
    if sums != (shown := {f.facing: f.on_hand for f in page if f.on_hand}):
        yield f"the feed adds up to {sums}, HQ shows {shown}"
    if [e.n for e in world.reader.seen] != [e.n for e in events]:
        yield f"a reader saw {len(world.reader.seen)} events of {len(events)}, or in another order"
    if world.reader.refused and not world.was_restored:
        yield "a reader's cursor was refused"


def _provisional(db: sqlite3.Connection) -> Iterator[str]:
    as_of, up_to, head = db.execute(
        "select as_of_seq, catch_up_to, head_seq from branch b join store s using (store, branch)"
    ).fetchone()
    if as_of or head < up_to:
        yield f"HQ still waits: head {head}, shows the state as of {as_of}, catches up to {up_to}"


def _commands(db: sqlite3.Connection, *, may_be_repeated: bool) -> Iterator[str]:
    """Once in the store's line of history; once at all, unless HQ forgot that it had asked or asked twins."""
    done: dict[int, Counter[str]] = {}
    rows = db.execute("select branch, seq, body from ledger where kind = 'command.done'").fetchall()
    decode = msgspec.json.Decoder(CommandDone).decode
    for branch, _, body in rows:
        done.setdefault(branch, Counter())[decode(body).command] += 1
    [current] = db.execute("select branch from store").fetchone()
    line = Counter[str]()
    for segment in ancestry(db, STORE, current, 2**60):
        for branch, seq, body in rows:
            if branch == segment.branch and segment.first <= seq <= segment.last:
                line[decode(body).command] += 1
    everywhere = sum(done.values(), Counter[str]())
    for command, n in (line if may_be_repeated else everywhere).items():
        if n > 1:
            yield f"command {command} was done {n} times"


def _claims(facings: Shown) -> Shown:
    """Facings of which a count is said; HQ goes on to show the places of a gateway that knows none yet."""
    return {facing: item for facing, item in facings.items() if item[1] is not None}
