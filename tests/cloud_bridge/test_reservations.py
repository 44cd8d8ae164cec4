"""Reservations as others' systems use them: held, collected, released, expired, refused, and asked for again."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta

import msgspec
import pytest

from cloud_bridge import reservations
from cloud_bridge.config import Promises
from cloud_bridge.picture import FeedEntry, StockPayload
from cloud_bridge.promises import is_settled
from cloud_bridge.store.reservations import Awaited, still_awaited
from edge_agent.contract.messages import FacingState, StoreProfile
from edge_agent.contract.times import rfc3339, utc_now

pytestmark = pytest.mark.engines

HERE, NEAR, FAR = (31.23, 121.47), (31.20, 121.44), (39.90, 116.41)


async def call(hq, method, path, body=None, *, key=None, token=None):
    """Status and document of one call."""
    headers = {"Authorization": f"Bearer {token or hq.token}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    async with hq.http.request(method, f"{hq.url}{path}", json=body, headers=headers) as reply:
        text = await reply.text()
        return reply.status, json.loads(text) if text else None


async def reserve(hq, gtin, quantity=1, *, key=None, token=None, **more):
    key = key or str(uuid.uuid4())
    body = {"gtin": gtin, "quantity": quantity, **more}
    return await call(hq, "POST", "/v1/reservations", body, key=key, token=token)


async def held(hq, gtin, quantity=1, **more):
    """The id of a reservation that was had."""
    status, answer = await reserve(hq, gtin, quantity, **more)
    assert status == 201, answer
    return answer["reservation"]


async def end(hq, reservation, how):
    if how == "collect":
        return await call(hq, "POST", f"/v1/reservations/{reservation}/collect")
    return await call(hq, "DELETE", f"/v1/reservations/{reservation}")


async def available(hq, gtin):
    found = await hq.get("/v1/stock", gtin=gtin)
    return {item["store"]: item["available"] for item in found["items"]}


def later(monkeypatch, seconds):
    monkeypatch.setattr(reservations, "utc_now", lambda: utc_now() + timedelta(seconds=seconds))


@pytest.fixture
async def shelf(store, make):
    """Ten of an item at s1, surely."""
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 10, confidence=1.0))
    return store


async def three_stores(hq, make):
    """s1, s2, s3 with 5, 9 and 2 items; s2 is far away, s3 has not said where it is."""
    wires = []
    for name, count, place in (("s1", 5, NEAR), ("s2", 9, FAR), ("s3", 2, (None, None))):
        wire = await hq.new_store(name)
        greeting = wire.greeting
        profile = StoreProfile(name=name, timezone="UTC", latitude=place[0], longitude=place[1])

        def placed(seqs, greeting=greeting, profile=profile):
            hello = greeting(seqs)
            return type(hello)(
                **{f: getattr(hello, f) for f in hello.__struct_fields__} | {"profile": profile}
            )

        wire.greeting = placed
        await wire.hello()
        await wire.tell(make.planogram(("A1", make.COLA)), make.stock("A1", count, confidence=1.0))
        wires.append(wire)
    return wires


async def test_a_reservation_takes_its_items_from_what_is_available_and_gives_them_back(hq, shelf, make):
    status, answer = await reserve(hq, make.COLA[1:], 3, store="s1", ttl_s=60)
    assert status == 201
    assert answer.keys() == {"reservation", "store", "gtin", "quantity", "expires_at"}
    assert (answer["store"], answer["gtin"], answer["quantity"]) == ("s1", make.COLA, 3)
    assert await available(hq, make.COLA) == {"s1": 7}
    status, problem = await reserve(hq, make.COLA, 8, store="s1")
    assert (status, problem["code"], problem["alternatives"]) == (409, "E-NOT-AVAILABLE", [])
    assert await end(hq, answer["reservation"], "release") == (204, None)
    assert await available(hq, make.COLA) == {"s1": 10}
    assert (await reserve(hq, make.COLA, 10))[0] == 201


async def test_a_key_gets_the_same_answer_also_after_a_restart(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 3, confidence=1.0))
        token = (await hq.command("token add", name="shop", role="ops"))["token"]
        first = await reserve(hq, make.COLA, 2, key='"k1"', token=token)
        refused = await reserve(hq, make.COLA, 2, key="k2", token=token)
        assert (first[0], refused[0]) == (201, 409)
        together = await asyncio.gather(*(reserve(hq, make.COLA, 1, key="k3", token=token) for _ in range(8)))
        assert [answer == together[0] for answer in together] == [True] * 8
        assert (await reserve(hq, make.COLA, 1, key="k1", token=token))[1]["code"] == "E-KEY-REUSED"
        # Somebody else's key of the same name is another one.
        assert (await reserve(hq, make.COLA, 2, key="k1"))[0] == 409
    async with start_hq(tmp_path / "hq") as hq:
        await end(hq, first[1]["reservation"], "release")
        assert await reserve(hq, make.COLA[1:], 2, key="k1", token=token) == first
        status, problem = await reserve(hq, make.COLA, 2, key="k2", token=token)
        assert (status, problem["code"]) == (409, "E-NOT-AVAILABLE")
        assert problem["alternatives"] == [{"store": "s1", "available": 2}]
        status, problem = await reserve(hq, make.COLA, 3, key="k1", token=token)
        assert (status, problem["code"]) == (422, "E-KEY-REUSED")
        page = await hq.get("/v1/reservations")
        assert [item["state"] for item in page["items"]] == ["refused", "held", "refused", "released"]


async def test_ends_are_idempotent_and_do_not_follow_each_other(hq, shelf, make):
    taken, given = await held(hq, make.COLA), await held(hq, make.COLA)
    first = await end(hq, taken, "collect")
    assert (first[0], first[1].keys()) == (
        200, {"reservation", "store", "gtin", "quantity", "collected_at"},
    )  # fmt: skip
    assert await end(hq, taken, "collect") == first
    assert [await end(hq, given, "release") for _ in range(2)] == [(204, None)] * 2
    for reservation, how in ((taken, "release"), (given, "collect")):
        status, problem = await end(hq, reservation, how)
        assert (status, problem["code"]) == (409, "E-RESERVATION-OVER")
        assert problem["hint"]
    for unknown in ("0" * 32, "nothing"):
        for how in ("collect", "release"):
            assert (await end(hq, unknown, how))[0] == 404


async def test_an_expired_one_cannot_be_collected_and_is_released_already(hq, shelf, make, monkeypatch):
    reservation = await held(hq, make.COLA, 10, ttl_s=5)
    assert (await reserve(hq, make.COLA, 1))[0] == 409
    later(monkeypatch, 5.1)
    assert (await hq.get("/v1/reservations", state="held"))["items"] == []
    (item,) = (await hq.get("/v1/reservations", state="expired"))["items"]
    assert (item["reservation"], item["claimed"], item["ended_at"]) == (reservation, 0, item["expires_at"])
    assert (await end(hq, reservation, "collect"))[1]["detail"] == "the reservation is expired"
    assert await end(hq, reservation, "release") == (204, None)


async def test_what_an_expired_one_held_is_had_at_once_and_for_good(hq, shelf, make, monkeypatch):
    reservation = await held(hq, make.COLA, 10, ttl_s=5)
    later(monkeypatch, 5.1)
    assert (await reserve(hq, make.COLA, 10))[0] == 201
    later(monkeypatch, 0)  # a clock that is put back gives it nothing again
    assert (await end(hq, reservation, "collect"))[0] == 409
    assert await available(hq, make.COLA) == {"s1": 0}


async def test_what_was_collected_counts_until_the_shelf_has_told_that_it_left(hq, shelf, make):
    for reservation in [await held(hq, make.COLA, 2) for _ in range(2)]:
        assert (await end(hq, reservation, "collect"))[0] == 200
    assert await available(hq, make.COLA) == {"s1": 6}
    await shelf.tell(make.stock("A1", 7, confidence=1.0))  # three of the four were seen to leave
    assert await available(hq, make.COLA) == {"s1": 6}
    assert [i["claimed"] for i in (await hq.get("/v1/reservations"))["items"]] == [1, 0]
    await shelf.tell(make.stock("A1", 6, confidence=1.0, cause="sale"))
    assert await available(hq, make.COLA) == {"s1": 6}
    await shelf.tell(make.stock("A1", 5, confidence=1.0))  # a shopper's own
    assert await available(hq, make.COLA) == {"s1": 5}


@pytest.mark.parametrize("cause", ["correction", "recount", "restock", "return", "initial"])
def test_only_what_was_taken_ends_a_claim(cause):
    def told(seq, cause, change=-1, gtin="g"):
        payload = msgspec.json.encode(StockPayload("A1", gtin, change, 1, 1.0, cause, ()))
        return FeedEntry(b"", seq, "stock.changed", "", "", payload)

    awaited = [Awaited(1, "g", 2, 10), Awaited(2, "g", 1, 12)]
    assert (
        still_awaited(
            awaited, [told(11, cause), told(None, "pick"), told(10, "pick"), told(13, "pick", gtin="h")]
        )
        == {}
    )
    assert still_awaited(awaited, [told(11, "pick", -5)]) == {1: 0}
    assert still_awaited(awaited, [told(13, "pick", -2)]) == {1: 0}
    assert still_awaited(awaited, [told(13, "pick"), told(14, "sale", -2)]) == {1: 0, 2: 0}


async def test_rows_that_the_store_had_before_a_collection_are_not_taken_for_it(hq, shelf, make):
    """They come late: the store was cut off when their shoppers took something."""
    reservation = await held(hq, make.COLA, 1)
    shelf.outbox.add(make.stock("A1", 9, confidence=1.0), make.stock("A1", 8, confidence=1.0))
    await shelf.hello()  # HQ hears of two rows that it has not
    assert (await end(hq, reservation, "collect"))[0] == 200
    await shelf.send()
    assert await available(hq, make.COLA) == {"s1": 7}
    await shelf.tell(make.stock("A1", 7, confidence=1.0))
    assert await available(hq, make.COLA) == {"s1": 7}


async def test_a_collection_that_no_shelf_ever_tells_of_is_settled_by_time(hq, shelf, make):
    await end(hq, await held(hq, make.COLA, 2), "collect")
    for age_s, left in ((899, 8), (901, 10)):
        as_of = rfc3339(utc_now() + timedelta(seconds=age_s))
        await hq.engine.sweep_reservations(
            lambda _, collected_at, as_of=as_of: is_settled(collected_at, Promises(), as_of=as_of), utc_now
        )
        assert await available(hq, make.COLA) == {"s1": left}


async def test_the_best_store_is_taken_and_a_refusal_names_where_else(hq, make):
    await three_stores(hq, make)
    assert (await reserve(hq, make.COLA, 2))[1]["store"] == "s2"
    here = {"latitude": HERE[0], "longitude": HERE[1]}
    assert (await reserve(hq, make.COLA, 2, **here))[1]["store"] == "s1"
    assert (await reserve(hq, make.COLA, 4, **here))[1]["store"] == "s2"
    status, problem = await reserve(hq, make.COLA, 2, store="s3", **here)
    assert status == 201
    status, problem = await reserve(hq, make.COLA, 1, store="s3", **here)
    assert (status, problem["alternatives"]) == (
        409, [{"store": "s1", "available": 3}, {"store": "s2", "available": 3}],
    )  # fmt: skip
    assert "new Idempotency-Key" in problem["hint"]
    status, problem = await reserve(hq, make.COLA, 4)
    assert (status, problem["alternatives"]) == (409, [])
    assert (await reserve(hq, make.WATER, 1, store="s1"))[1]["alternatives"] == []
    assert (await reserve(hq, make.COLA, 1, store="nowhere"))[0] == 404
    near = await hq.get("/v1/stock", gtin=make.COLA, latitude="31.23", longitude="121.47")
    assert [item["store"] for item in near["items"]] == ["s1", "s2", "s3"]
    beijing = {"gtin": make.COLA, "latitude": "39.9", "longitude": "116.4", "limit": 1}
    order, cursor = [], {}
    while cursor is not None:
        page = await hq.get("/v1/stock", **beijing, **cursor)
        order += [item["store"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert order == ["s2", "s1", "s3"]


async def test_a_store_that_catches_up_promises_from_its_present_and_a_silent_one_nothing(
    hq, shelf, make, monkeypatch
):
    state = FacingState(
        facing="A1", gtin=make.COLA, on_hand=4, confidence=1.0, status="ok", sources=["weight"],
        changed_at=make.AT, observed_at=make.AT,
    )  # fmt: skip
    shelf.outbox.add(*(make.stock("A1", 9, confidence=1.0) for _ in range(600)))
    await shelf.hello()
    await shelf.state([state], as_of=shelf.outbox.last_seq)
    assert await available(hq, make.COLA) == {"s1": 4}
    assert (await reserve(hq, make.COLA, 5))[0] == 409
    assert (await reserve(hq, make.COLA, 4))[0] == 201
    later(monkeypatch, 150)
    status, problem = await reserve(hq, make.COLA, 1, store="s1")
    assert (status, problem["alternatives"]) == (409, [])


async def test_who_may_only_read_cannot_reserve(hq, shelf, make):
    viewer = (await hq.command("token add", name="v", role="viewer"))["token"]
    reservation = await held(hq, make.COLA)
    assert (await reserve(hq, make.COLA, token=viewer))[0] == 403
    assert (await reserve(hq, make.COLA, token=shelf.token))[0] == 403
    for method, path in (("POST", f"/{reservation}/collect"), ("DELETE", f"/{reservation}")):
        assert (await call(hq, method, f"/v1/reservations{path}", token=viewer))[0] == 403
    assert len((await hq.get("/v1/reservations", token=viewer))["items"]) == 1


@pytest.mark.one_engine
async def test_what_does_not_fit_is_named(hq):
    good = {"gtin": "6901234567892", "quantity": 1}
    for change, key, named in (
        ({}, None, "Idempotency-Key is missing"), ({}, "a b", "visible ASCII"), ({}, "k" * 256, "visible ASCII"),
        ({}, '""', "visible ASCII"), ({"gtin": "6901234567890"}, "k", "gtin"), ({"quantity": 0}, "k", "quantity"),
        ({"quantity": 1.5}, "k", "quantity"), ({"ttl_s": 86_401}, "k", "ttl_s: 86401 is more than 86400"),
        ({"latitude": 1}, "k", "latitude and longitude"), ({"shop": "s1"}, "k", "shop"),
        ({"latitude": 91, "longitude": 0}, "k", "latitude"),
    ):  # fmt: skip
        status, problem = await call(hq, "POST", "/v1/reservations", good | change, key=key)
        assert (status, named in problem["detail"], bool(problem["hint"])) == (400, True, True), change


async def test_the_list_filters_pages_and_is_csv(hq, shelf, make):
    ids = [await held(hq, make.COLA) for _ in range(3)]
    await end(hq, ids[0], "collect")
    await reserve(hq, make.WATER)
    await reserve(hq, make.WATER, store="s1")
    whole = (await hq.get("/v1/reservations"))["items"]
    assert [item["reservation"] for item in whole[2:]] == ids[::-1]
    assert [(i["state"], i["store"], i["claimed"]) for i in whole[:2]] == [
        ("refused", "s1", 0),
        ("refused", None, 0),
    ]
    pages, cursor = [], {}
    while cursor is not None:
        page = await hq.get("/v1/reservations", limit=2, **cursor)
        pages += page["items"]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert pages == whole
    assert len((await hq.get("/v1/reservations", gtin=make.COLA, store="s1", state="held"))["items"]) == 2
    for state, many in (("collected", 1), ("refused", 2), ("released", 0)):
        assert len((await hq.get("/v1/reservations", state=state))["items"]) == many
    headers = {"Authorization": f"Bearer {hq.token}", "Accept": "text/csv"}
    async with hq.http.get(f"{hq.url}/v1/reservations?limit=2", headers=headers) as reply:
        lines = (await reply.text()).splitlines()
        assert lines[0].startswith("reservation,state,store,gtin,quantity,claimed,")
        assert (len(lines), "cursor=" in reply.headers["Link"]) == (3, True)
    for query in ({"cursor": "QUE"}, {"state": "lost"}, {"gtin": "1"}):
        with pytest.raises(make.Refused) as refused:
            await hq.get("/v1/reservations", **query)
        assert refused.value.status == 400


async def test_old_ones_go_with_old_events_and_live_ones_stay(hq, shelf, make):
    old, live = await held(hq, make.COLA), await held(hq, make.COLA)
    await end(hq, old, "release")
    far = "2999-01-01T00:00:00.000Z"
    while await hq.engine.prune(events_before=far, items_before=far, buckets_before_ms=2**50):
        pass
    assert [item["reservation"] for item in (await hq.get("/v1/reservations"))["items"]] == [live]


@pytest.mark.one_engine
async def test_outcomes_are_counted(hq, shelf, make):
    async def counts():
        async with hq.http.get(f"{hq.url}/metrics") as reply:
            lines = [
                line
                for line in (await reply.text()).splitlines()
                if line.startswith("hq_reservations_total{")
            ]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines}

    before = await counts()
    first, second = await held(hq, make.COLA, key="same"), await held(hq, make.COLA)
    await held(hq, make.COLA, key="same")
    await reserve(hq, make.COLA, 99)
    await end(hq, first, "collect")
    await end(hq, second, "release")
    grown = {outcome: n - before.get(outcome, 0) for outcome, n in (await counts()).items()}
    assert grown == {"reserved": 2, "repeated": 1, "refused": 1, "collected": 1, "released": 1}


@pytest.mark.one_engine
async def test_the_openapi_document_says_what_is_needed_and_what_may_be_refused(hq):
    paths = (await hq.get("/openapi.json"))["paths"]
    reserve_call = paths["/v1/reservations"]["post"]
    (key,) = (p for p in reserve_call["parameters"] if p["in"] == "header")
    assert (key["name"], key["required"]) == ("Idempotency-Key", True)
    assert reserve_call["responses"].keys() >= {"201", "400", "409", "422"}
    release = paths["/v1/reservations/{reservation}"]["delete"]
    assert [p["name"] for p in release["parameters"]] == ["reservation"]
    assert release["responses"]["204"]["content"] == {}
    put = paths["/v1/stores/{store}/planogram"]["put"]
    assert put["responses"].keys() >= {"412", "428"}
    assert [p["name"] for p in put["parameters"]] == ["store", "If-Match"]
    stream = paths["/v1/stream"]["get"]
    assert "text/event-stream" in stream["responses"]["200"]["content"]
    assert [p["name"] for p in stream["parameters"] if p["in"] == "header"] == ["Last-Event-ID"]


@pytest.mark.one_engine
async def test_what_a_batch_and_a_reservation_look_up_does_not_grow_with_the_past(hq, shelf, make):
    """The open ones have indexes of their own; SQLite takes another one if it is let."""
    traced: list[str] = []
    await hq.engine.writer.submit(lambda tx: tx.connection.set_trace_callback(traced.append))
    await end(hq, await held(hq, make.COLA), "collect")
    await shelf.tell(make.stock("A1", 9, confidence=1.0))
    await hq.engine.writer.submit(lambda tx: tx.connection.set_trace_callback(None))
    asked = {sql for sql in traced if "claimed > 0" in sql}
    assert len(asked) == 3  # what is due, what is claimed at the store, what is awaited there

    def plans(connection):
        return [row[3] for sql in asked for row in connection.execute(f"explain query plan {sql}")]

    plans_ = [
        plan
        for plan in await hq.engine.writer.submit(lambda tx: plans(tx.connection))
        if "reservation" in plan
    ]
    assert {plan.split(" INDEX ")[1].split()[0] for plan in plans_} == {
        "reservation_claims",
        "reservation_awaited",
    }
