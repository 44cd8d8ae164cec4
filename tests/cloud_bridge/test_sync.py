"""The sync calls, over a real socket into a real database."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import zstandard

from cloud_bridge.store import meeting
from edge_agent.contract.digest import Digest, bucket_of, sums_of
from edge_agent.contract.messages import DeviceState, FacingState, GapMoved, Position, Presence

pytestmark = pytest.mark.engines
AT = "2026-11-22T10:00:00.000Z"


def shown_state(facing, on_hand, gtin):
    return FacingState(
        facing=facing, gtin=gtin, on_hand=on_hand, confidence=0.8, status="ok", sources=["weight"],
        changed_at=None, observed_at=None,
    )  # fmt: skip


async def refused(make, call):
    with pytest.raises(make.Refused) as caught:
        await call
    return caught.value


async def test_rows_become_facings_and_feed(hq, store, make):
    reply = await store.tell(
        make.planogram(("A1", make.COLA)), make.stock("A1", 12, cause="initial"), make.stock("A1", 11)
    )
    assert reply["applied"] == [3, store.outbox.chain_at(3).hex()]
    assert reply["safe"] == 3
    page = await hq.get("/v1/stores/s1/facings")
    (facing,) = page["items"]
    assert (facing["on_hand"], facing["name"], facing["capacity"]) == (11, "item 7892", 24)
    assert page["catching_up"] is False
    feed = [(e["data"]["change"], e["data"]["cause"], e["seq"]) for e in await hq.events()]
    assert feed == [(12, "initial", 2), (-1, "pick", 3)]


@pytest.mark.one_engine
async def test_a_facing_is_unknown_before_its_first_evidence(hq, store, make):
    await store.tell(make.planogram(("A1", make.COLA)))
    facing = await hq.get("/v1/stores/s1/facings/A1")
    assert (facing["on_hand"], facing["status"], facing["confidence"]) == (None, "unknown", 0)
    assert await hq.events() == []


@pytest.mark.one_engine
async def test_a_change_of_confidence_moves_the_facing_and_not_the_feed(hq, store, make):
    await store.tell(make.stock("A1", 5), make.stock("A1", 5, confidence=0.25))
    assert (await hq.get("/v1/stores/s1/facings/A1"))["confidence"] == 0.25
    assert len(await hq.events()) == 1


async def test_overlap_is_dropped_and_counted_once(hq, store, make):
    store.outbox.add(*(make.stock("A1", n) for n in range(1, 11)))
    await store.send(1, 6)
    await store.send(1, 4)
    reply = await store.send(3, 10)
    assert reply["applied"][0] == 10
    assert await hq.sums() == {"A1": 10}
    assert len(await hq.events()) == 10


async def test_a_gap_is_a_conflict_and_leaves_no_trace(hq, store, make):
    store.outbox.add(*(make.stock("A1", n) for n in range(1, 6)))
    problem = await refused(make, store.send(3, 5))
    assert (problem.status, problem.code) == (409, "gap")
    assert await hq.events() == []


@pytest.mark.one_engine
async def test_rows_out_of_order_in_a_batch_are_a_gap(store, make):
    store.outbox.add(make.stock("A1", 1), make.stock("A1", 2))
    batch = store.outbox.batch(store.session, store.branch, 1, 2)
    swapped = msgspec.structs.replace(batch, rows=batch.rows[::-1])
    assert (await refused(make, store.post("batch", swapped))).code == "gap"


async def test_another_history_is_a_fork(hq, store, make):
    await store.tell(make.stock("A1", 1), make.stock("A1", 2))
    store.outbox = store.outbox.copy(1)
    store.outbox.add(make.stock("A1", 9), make.stock("A1", 8))
    for first, last in ((2, 3), (3, 3), (2, 2)):
        assert (await refused(make, store.send(first, last))).code == "fork"
    assert await hq.shown() == {"A1": 2}


@pytest.mark.one_engine
async def test_a_wrong_last_chain_is_malformed(store, make):
    store.outbox.add(make.stock("A1", 1))
    batch = msgspec.structs.replace(
        store.outbox.batch(store.session, store.branch, 1, 1), last_chain="0" * 32
    )
    assert (await refused(make, store.post("batch", batch))).status == 400


async def test_only_the_newest_session_writes(hq, store, make):
    old = store.session
    await store.hello()
    store.outbox.add(make.stock("A1", 1))
    batch = store.outbox.batch(old, store.branch, 1, 1)
    assert (await refused(make, store.post("batch", batch))).code == "stale_session"
    await store.send()
    assert await hq.shown() == {"A1": 1}


async def test_heartbeats_keep_a_store_online_and_check_the_position(hq, store, make):
    await store.tell(make.stock("A1", 1))
    presence = Presence(devices={}, facings={"A1": "2026-11-22T12:00:00.000Z"})
    reply = await store.send(2, 1, presence=presence)
    assert reply["applied"][0] == 1
    (item,) = (await hq.get("/v1/stores"))["items"]
    assert (item["status"], item["pending"]) == ("online", 0)
    facing = await hq.get("/v1/stores/s1/facings/A1")
    assert facing["observed_at"] == "2026-11-22T12:00:00.000Z"
    beat = store.outbox.batch(store.session, store.branch, 2, 1)
    foreign = msgspec.structs.replace(beat, prev_chain="1" * 32, last_chain="1" * 32)
    assert (await refused(make, store.post("batch", foreign))).code == "fork"
    ahead = msgspec.structs.replace(beat, first=5)
    assert (await refused(make, store.post("batch", ahead))).code == "gap"


@pytest.mark.one_engine
async def test_equal_counts_are_compared_in_silence(hq, store, make):
    await store.tell(make.stock("A1", 3), make.stock("A2", None), make.stock("A3", 0))
    sums = sums_of([("A1", make.COLA, 3), ("A3", make.COLA, 0)])
    reply = await store.send(4, 3, digest=Digest(at_seq=3, sums=sums))
    assert reply["differing"] == []
    store.outbox.add(make.stock("A1", 2))
    reply = await store.send(digest=Digest(at_seq=3, sums=sums))
    assert reply["differing"] == []  # of a place where HQ is no more
    assert (await hq.command("store list"))["items"][0]["differences"] == 0


async def test_a_count_that_hq_lost_is_named_counted_and_repaired_by_rows(hq, store, make, caplog):
    await store.tell(make.stock("A1", 3), make.stock("A2", 5))
    broken = make.stock("A1", 9)
    broken[1]["gtin"] = "06901234567890"  # a wrong check digit: the row is quarantined
    sums = sums_of([("A1", make.COLA, 9), ("A2", make.COLA, 5)])
    store.outbox.add(broken)
    reply = await store.send(digest=Digest(at_seq=3, sums=sums))
    assert reply["differing"] == [bucket_of("A1")]
    assert "its counts at row 3 are not what its ledger says here" in caplog.text
    told = (await hq.command("store list"))["items"][0]
    assert told["differences"] == 1
    assert told["differed_at"] is not None
    store.outbox.add(make.stock("A1", 9))
    reply = await store.send(digest=Digest(at_seq=4, sums=sums))
    assert reply["differing"] == []
    assert await hq.sums() == {"A1": 9, "A2": 5}
    assert await hq.audit_problems() == []


async def test_hello_asks_for_the_dense_stretch_and_finds_the_merge_base(hq, make):
    outbox = make.Outbox()
    outbox.add(*(make.stock("A1", n % 7) for n in range(500)))
    store = await hq.new_store(outbox=outbox)
    await store.hello()
    await store.send(1, 237)
    reply = await store.hello()
    assert reply["merge"][0] == 237
    assert store.rounds == 2
    assert reply["branch"] == store.branch


async def test_a_restored_disk_forks_and_the_feed_is_corrected(hq, store, make, caplog):
    await store.tell(
        make.planogram(("A1", make.COLA), ("A2", make.COLA)),
        make.stock("A1", 10), make.stock("A2", 4), make.stock("A1", 7), make.stock("A2", 3),
    )  # fmt: skip
    first_branch, store.outbox = store.branch, store.outbox.copy(3)
    store.outbox.add(make.stock("A1", 9))
    reply = await store.hello()
    assert reply["merge"][0] == 3
    assert reply["branch"] != first_branch
    assert await hq.sums() == {"A1": 10, "A2": 4} == await hq.shown()
    corrections = [e for e in await hq.events() if e["data"]["cause"] == "correction"]
    assert [(e["data"]["facing"], e["data"]["change"], e["seq"]) for e in corrections] == [
        ("A1", 3, None), ("A2", 1, None),
    ]  # fmt: skip
    await store.send()
    assert await hq.sums() == {"A1": 9, "A2": 4} == await hq.shown()
    assert sum("history parts" in record.message for record in caplog.records) == 1
    assert await hq.audit_problems() == []


async def test_a_history_that_takes_long_to_read_is_answered_at_a_later_hello(hq, store, make, monkeypatch):
    await store.tell(*(make.stock("A1", n) for n in range(1, 2001)))
    store.outbox = store.outbox.copy(1500)
    store.outbox.add(make.stock("A1", 7))
    monkeypatch.setattr(meeting, "REFOLD_WAIT_S", 0)
    problem = await refused(make, store.hello())
    assert (problem.status, problem.headers["Retry-After"]) == (503, "1")
    monkeypatch.undo()
    assert (await store.hello())["merge"][0] == 1500
    assert await hq.sums() == {"A1": 1500}
    await store.send()
    assert await hq.shown() == {"A1": 7} == await hq.sums()


async def test_a_clone_and_its_origin_take_turns_without_loss_or_double(hq, store, make):
    await store.tell(make.stock("A1", 10))
    clone = await hq.same_store(store, store.outbox.copy())
    for n in range(3):
        for gateway, on_hand in ((store, 20 + n), (clone, 40 + n)):
            await gateway.hello()
            await gateway.tell(make.stock("A1", on_hand))
            assert await hq.shown() == {"A1": on_hand} == await hq.sums()
    assert await hq.audit_problems() == []


async def test_a_reimaged_gateway_starts_a_root_and_nothing_counts_twice(hq, store, make):
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 10))
    store.outbox = make.Outbox()
    reply = await store.hello()
    assert reply["merge"] == [0, "0" * 32]
    facing = await hq.get("/v1/stores/s1/facings/A1")
    assert (facing["on_hand"], facing["name"]) == (None, "item 7892")
    assert await hq.sums() == {"A1": 0}
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 8, cause="initial"))
    assert await hq.sums() == {"A1": 8} == await hq.shown()
    assert await hq.audit_problems() == []


async def test_an_unknown_base_becomes_a_root_with_an_alarm(hq, make, caplog):
    outbox = make.Outbox()
    outbox.add(*(make.stock("A1", n) for n in range(20)))
    store = await hq.new_store(outbox=outbox.pruned(12))
    reply = await store.hello()
    assert reply["merge"][0] == 12
    await store.send()
    assert await hq.shown() == {"A1": 19}
    assert any("not known here" in record.message for record in caplog.records)
    # The same gateway from an older backup: its base lies below that root, its rows above are known.
    store.outbox = outbox.pruned(8)
    reply = await store.hello()
    assert reply["merge"][0] == 20
    assert await hq.audit_problems() == []


async def test_a_root_that_a_sparse_locator_misses_is_asked_for(hq, make):
    outbox = make.Outbox()
    outbox.add(*(make.stock("A1", n % 9) for n in range(100)))
    store = await hq.new_store(outbox=outbox.copy(75).pruned(70))
    await store.hello()
    await store.send()
    store.outbox = outbox  # an older disk: row 0 is known, the rows 71 to 75 lie between two of its positions
    assert (await store.hello())["merge"][0] == 75
    await store.send()
    assert await hq.audit_problems() == []


async def test_roots_of_other_histories_do_not_keep_a_hello_from_ending(hq, make):
    store = await hq.new_store()
    for rows, base in ((80, 70), (100, 90), (200, 20)):
        line = make.Outbox()
        line.add(*(make.stock("A1", n % 9) for n in range(rows)))
        store.outbox = line.pruned(base)
        assert (await store.hello())["merge"][0] == base
        await store.send()
    assert await hq.audit_problems() == []


async def test_state_shows_the_present_before_the_past(hq, store, make):
    await store.tell(make.planogram(("A1", make.COLA), ("A2", make.COLA)), make.stock("A1", 10))
    store.outbox.add(*(make.stock("A1", n) for n in (9, 8, 6)), make.stock("A2", 5))
    health = {"device": "scale-1", "driver": "mt-sics", "status": "online", "reason": None}
    store.outbox.add(("device.changed", health))
    await store.hello()
    device = DeviceState(
        device="scale-1", driver="mt-sics", status="online", reason=None, since=make.AT, last_seen_at=None
    )
    gap = GapMoved(facing="A2", device="cam", fill=0.1)
    present = [shown_state("A1", 6, make.COLA), shown_state("A2", 5, make.COLA)]
    await store.state(present, (device,), (gap,), as_of=7)
    page = await hq.get("/v1/stores/s1/facings")
    assert {i["facing"]: i["on_hand"] for i in page["items"]} == {"A1": 6, "A2": 5}
    assert page["catching_up"] is True
    assert [d["device"] for d in (await hq.get("/v1/stores/s1/devices"))["items"]] == ["scale-1"]
    assert await hq.sums() == {"A1": 10}
    await store.send(3, 4)
    assert await hq.shown() == {"A1": 6, "A2": 5}
    assert await hq.sums() == {"A1": 8}
    await store.send()
    page = await hq.get("/v1/stores/s1/facings")
    assert page["catching_up"] is False
    assert await hq.sums() == {"A1": 6, "A2": 5} == await hq.shown()
    assert [d["device"] for d in (await hq.get("/v1/stores/s1/devices"))["items"]] == ["scale-1"]
    await store.tell(make.stock("A1", 3))
    assert await hq.shown() == {"A1": 3, "A2": 5}
    assert await hq.audit_problems() == []


@pytest.mark.one_engine
async def test_when_a_facing_is_due_is_part_of_the_present(hq, store, make):
    early, late = "2026-11-22T16:40:00.000Z", "2026-11-23T09:10:00.000Z"
    await store.tell(
        make.planogram(("A1", make.COLA), ("A2", make.COLA)), make.stock("A1", 10, reorder_due_at=late)
    )
    store.outbox.add(make.stock("A1", 9, reorder_due_at=late), make.stock("A1", 7, reorder_due_at=early))
    await store.hello()
    present = msgspec.structs.replace(shown_state("A1", 7, make.COLA), reorder_due_at=early)
    await store.state([present, shown_state("A2", 5, make.COLA)], as_of=4)

    async def due():
        items = (await hq.get("/v1/stores/s1/facings"))["items"]
        return {item["facing"]: item["reorder_due_at"] for item in items}

    assert await due() == {"A1": early, "A2": None}
    await store.send(3, 3)
    assert await due() == {"A1": early, "A2": None}
    await store.send()
    assert await due() == {"A1": early, "A2": None}
    store.outbox = store.outbox.copy(3)  # a restored disk: its past said something else
    store.outbox.add(make.stock("A1", 8, reorder_due_at=late))
    await store.hello()
    assert (await due())["A1"] == late
    assert await hq.audit_problems() == []


async def test_a_past_planogram_neither_adds_nor_takes_what_is_shown(hq, store, make):
    store.outbox.add(
        make.planogram(("A1", make.COLA), ("B1", make.COLA)), make.stock("B1", 3), make.stock("A1", 2),
        make.planogram(("A1", make.COLA), ("A2", make.WATER), revision=1), make.stock("A2", 8, gtin=make.WATER),
    )  # fmt: skip
    await store.hello()
    await store.state([shown_state("A1", 2, make.COLA), shown_state("A2", 8, make.WATER)], as_of=5)
    for last in range(1, 6):
        await store.send(last=last)
        assert await hq.shown() == {"A1": 2, "A2": 8}
    assert (await hq.get("/v1/stores/s1/facings/A2"))["name"] == "item 3931"
    assert await hq.sums() == {"A1": 2, "A2": 8, "B1": 0}
    assert await hq.audit_problems() == []


async def test_a_facing_that_goes_or_changes_its_item_is_corrected(hq, store, make):
    await store.tell(
        make.planogram(("A1", make.COLA), ("A2", make.COLA)), make.stock("A1", 10), make.stock("A2", 4)
    )
    await store.tell(make.planogram(("A1", make.WATER), revision=1))
    assert await hq.shown() == {"A1": None}
    feed = [(e["data"]["facing"], e["data"]["gtin"], e["data"]["change"]) for e in await hq.events()]
    assert sorted(feed[2:]) == [("A1", make.COLA, -10), ("A2", make.COLA, -4)]
    await store.tell(make.stock("A1", 6, gtin=make.WATER))
    assert await hq.shown() == {"A1": 6}
    assert (await hq.get("/v1/stores/s1/planogram"))["applied_revision"] == 1
    assert await hq.audit_problems() == []


async def test_odd_rows_never_block_a_store(hq, store, make):
    store.outbox.add(make.stock("A1", 5))
    store.outbox.add(("stock.changed", "not json"), ("stock.changed", {"facing": "A1"}))
    store.outbox.add(make.stock("A1", 6, gtin="06901234567890"), make.stock("A1", 2**70))
    store.outbox.add(("robot.waved", {"hands": 2}))
    store.outbox.add(make.stock("A1", 99), version=2)
    store.outbox.add(make.stock("A1", 98), occurred_at="2026-13-45T10:00:00.000Z")
    store.outbox.add(("planogram.applied", {"revision": 1, "products": [], "facings": [{"id": "A1"}]}))
    store.outbox.add(make.stock("A1", 4))
    reply = await store.send()
    assert reply["applied"][0] == 10
    assert await hq.shown() == {"A1": 4} == await hq.sums()
    (result,) = await hq.audit()
    assert (result.parked, result.quarantined, result.problems) == (2, 6, [])
    assert {row["seq"] for row in result.set_aside if row["fate"] == "parked"} == {6, 7}


async def test_buckets_are_totals_of_which_the_last_counts(hq, store, make):
    bucket = {"device": "cam", "line": "door", "start": "2026-11-22T10:00:00.000Z", "seconds": 60}
    await store.tell(
        ("footfall.counted", bucket | {"entered": 1, "exited": 0}),
        ("footfall.counted", bucket | {"entered": 3, "exited": 2}),
    )
    span = {"from": "2026-11-22T00:00:00.000Z", "to": "2026-11-23T00:00:00.000Z"}
    page = await hq.get("/v1/stores/s1/footfall", bucket="1m", **span)
    assert page["items"] == [{"line": "door", "start": bucket["start"], "entered": 3, "exited": 2}]


@pytest.mark.one_engine
async def test_large_numbers_in_the_envelope_are_refused(store, make):
    store.outbox.add(make.stock("A1", 1))
    batch = msgspec.structs.replace(store.outbox.batch(store.session, store.branch, 1, 1), last_seq=2**80)
    assert (await refused(make, store.post("batch", batch))).status == 400
    hello = store.greeting([])
    far = msgspec.structs.replace(hello, locator=[Position(2**66, "0" * 32)])
    assert (await refused(make, store.post("hello", far))).status == 400


@pytest.mark.parametrize(
    "more",
    [
        {"last_seq": 2**70},
        {"presence": Presence(clock_offset_ms=2**70)},
        {"presence": Presence(devices={"a\0": AT})},
        {"presence": Presence(facings={"A" * 65: AT})},
    ],
)
async def test_a_heartbeat_that_the_database_could_not_keep_is_refused(hq, store, make, more):
    beat = store.outbox.batch(store.session, store.branch, 1, 0)
    await store.post("batch", beat)
    assert (await refused(make, store.post("batch", msgspec.structs.replace(beat, **more)))).status == 400
    await hq.engine.save_heard({})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"session": 1}', b"\xff\xfe", b"[" * 100_000])
@pytest.mark.one_engine
async def test_malformed_bodies_are_problems(store, make, body):
    for zstd in (True, False):
        problem = await refused(make, store.post("batch", body, zstd=zstd))
        assert (problem.status, problem.headers["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.one_engine
async def test_a_body_that_unpacks_to_too_much_is_413(store, make):
    bomb = zstandard.compress(b" " * 64_000_000)
    assert len(bomb) < 10_000
    headers = {"Authorization": f"Bearer {store.token}", "Content-Encoding": "zstd"}
    async with store.http.post(f"{store.url}/v1/sync/batch", data=bomb, headers=headers) as reply:
        assert reply.status == 413
        assert (await reply.json(content_type=None))["code"] == "E-TOO-LARGE"
    assert (await refused(make, store.post("batch", b" " * 5_000_000, zstd=False))).status == 413


@pytest.mark.one_engine
async def test_bad_zstd_and_other_encodings_are_refused(store):
    for encoding, body in (
        ("zstd", b"not zstd"),
        ("gzip", b"\x1f\x8b"),
        ("zstd", zstandard.compress(b"{}")[:-3]),
    ):
        headers = {"Authorization": f"Bearer {store.token}", "Content-Encoding": encoding}
        async with store.http.post(f"{store.url}/v1/sync/batch", data=body, headers=headers) as reply:
            assert reply.status == 400


@pytest.mark.one_engine
async def test_store_tokens_and_api_tokens_are_not_each_other(hq, store, make):
    other = await hq.new_store("s2")
    assert (await refused(make, store.post("hello", other.greeting([])))).status == 403
    assert (await refused(make, store.post("hello", store.greeting([]), token="nobody"))).status == 401
    assert (await refused(make, store.post("hello", store.greeting([]), token=hq.token))).status == 403
    assert (await refused(make, hq.get("/v1/stores", token=store.token))).status == 403
    await hq.command("store revoke", name="s1")
    assert (await refused(make, store.send(1, 0))).status == 401


@pytest.mark.one_engine
async def test_many_stores_are_committed_together_and_none_sees_another(hq, make):
    stores = [await hq.new_store(f"s{n}") for n in range(20)]
    async with asyncio.TaskGroup() as group:
        for store in stores:
            group.create_task(store.hello())
    for _ in range(3):
        async with asyncio.TaskGroup() as group:
            for n, store in enumerate(stores):
                group.create_task(store.tell(*(make.stock("A1", n + k) for k in range(20))))
    for n, store in enumerate(stores):
        assert await hq.sums(store.store) == {"A1": n + 19}
    assert await hq.audit_problems() == []


async def test_everything_survives_a_restart(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.stock("A1", 3))
        cursor = (await hq.get("/v1/events"))["next_cursor"]
    async with start_hq(tmp_path / "hq") as hq:
        store.url = hq.url
        store.http = hq.http
        await store.tell(make.stock("A1", 4))
        (event,) = (await hq.get("/v1/events", after=cursor))["items"]
        assert event["data"]["change"] == 1
        assert (await store.hello())["merge"][0] == 2
