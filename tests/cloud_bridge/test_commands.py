"""Recounts on their way to a store: who may ask, what is handed out, and when never again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from cloud_bridge import commands as commands_module
from cloud_bridge.store.orders import COUNTED_AGAIN
from cloud_bridge.store.sqlite.schema import FILE_NAME, MIGRATIONS

pytestmark = pytest.mark.engines


async def recount(hq, body, *, store="s1", token=None):
    headers = {"Authorization": f"Bearer {token or hq.token}"}
    what = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with hq.http.post(f"{hq.url}/v1/stores/{store}/recounts", headers=headers, **what) as reply:
        return reply.status, await reply.json(content_type=None)


async def asked(hq, store, after=0):
    """What the store's agent is handed, and behind what it asks next."""
    headers = {"Authorization": f"Bearer {store.token}"}
    async with hq.http.get(f"{hq.url}/v1/sync/commands?after={after}", headers=headers) as reply:
        assert reply.status == 200
        answer = await reply.json()
    return answer["commands"], answer["after"]


def done(command, outcome="applied", reason=None):
    return "command.done", {"command": command["id"], "outcome": outcome, "reason": reason}


@pytest.fixture
async def shelf(store, make):
    await store.tell(make.planogram(("A1", make.COLA), ("A2", make.WATER)), make.stock("A1", 5))
    return store


async def test_a_recount_is_taken_told_by_the_heartbeat_and_handed_out_until_it_is_done(hq, shelf):
    before = await shelf.send()
    assert before["commands_after"] == 0
    status, taken = await recount(hq, {"facing": "A1", "on_hand": 7})
    assert (status, taken["store"], taken["facing"], taken["on_hand"]) == (202, "s1", "A1", 7)
    newest = (await shelf.send())["commands_after"]
    for _ in range(2):
        (command,), after = await asked(hq, shelf)
        assert (command["kind"], command["body"], after) == (
            "recount",
            {"facing": "A1", "on_hand": 7},
            newest,
        )
        assert (command["id"], 0 <= command["age_ms"] < 60_000) == (taken["recount"], True)
    assert await asked(hq, shelf, after) == ([], newest)
    await shelf.tell(done(command))
    assert await asked(hq, shelf) == ([], newest)
    assert "command.done" not in {event["type"] for event in await hq.events()}
    assert await hq.audit_problems() == []


@pytest.mark.one_engine
async def test_commands_come_in_order_and_only_to_their_store(hq, shelf):
    other = await hq.new_store("s2")
    for on_hand, facing in enumerate(("A2", "A1")):
        await recount(hq, {"facing": facing, "on_hand": on_hand})
    found, _ = await asked(hq, shelf)
    assert [command["body"]["on_hand"] for command in found] == [0, 1]
    assert await asked(hq, other) == ([], 0)


async def test_of_two_counts_of_a_facing_only_the_newer_is_handed_out(hq, shelf):
    for on_hand in (7, 8):
        await recount(hq, {"facing": "A1", "on_hand": on_hand})
    await recount(hq, {"facing": "A2", "on_hand": 3})
    found, _ = await asked(hq, shelf)
    assert [command["body"]["on_hand"] for command in found] == [8, 3]
    await recount(hq, {"facing": "A1", "on_hand": 9})
    found, _ = await asked(hq, shelf)
    assert [command["body"]["on_hand"] for command in found] == [8, 3, 9]
    fates = await hq.rows("select outcome, reason from command order by n")
    assert fates == [("expired", COUNTED_AGAIN), (None, None), (None, None), (None, None)]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"facing": "A9", "on_hand": 1}, 404, "no facing 'A9'"),
        ({"facing": "A1", "on_hand": 49}, 400, "between 0 and 48"),
        ({"facing": "A1", "on_hand": -1}, 400, "on_hand"),
        ({"facing": "A1", "on_hand": "7"}, 400, "on_hand"),
        ({"facing": "A1", "on_hand": True}, 400, "on_hand"),
        ({"facing": "A1"}, 400, "on_hand: Field required"),
        ({"facing": "a b", "on_hand": 1}, 400, "facing"),
        ({"facing": "A1", "on_hand": 1, "by": "me"}, 400, "by"),
        ([], 400, "one JSON object"),
        (b"{", 400, "one JSON object"),
        (b" " * 100_000, 413, "65536"),
    ],
)
@pytest.mark.one_engine
async def test_what_cannot_be_is_a_problem_that_names_the_field(hq, shelf, body, status, says):
    answered, problem = await recount(hq, body)
    assert (answered, problem["status"]) == (status, status)
    assert says in problem["detail"]
    assert await asked(hq, shelf) == ([], 0)


@pytest.mark.one_engine
async def test_only_operators_recount_and_only_known_stores(hq, shelf):
    viewer = (await hq.command("token add", name="eyes", role="viewer"))["token"]
    operator = (await hq.command("token add", name="hands", role="ops"))["token"]
    body = {"facing": "A1", "on_hand": 1}
    assert (await recount(hq, body, token=viewer))[0] == 403
    assert (await recount(hq, body, token=shelf.token))[0] == 403
    assert (await recount(hq, body, token="nobody"))[0] == 401
    assert (await recount(hq, body, store="s9"))[0] == 404
    assert (await recount(hq, body, token=operator))[0] == 202
    async with hq.http.get(
        f"{hq.url}/v1/sync/commands", headers={"Authorization": f"Bearer {operator}"}
    ) as no:
        assert no.status == 403
    assert await hq.rows("select issued_by from command") == [("hands",)]


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=99999999999999999999", "before=1"])
@pytest.mark.one_engine
async def test_a_wrong_question_for_commands_is_a_400(hq, shelf, query):
    headers = {"Authorization": f"Bearer {shelf.token}"}
    async with hq.http.get(f"{hq.url}/v1/sync/commands?{query}", headers=headers) as reply:
        assert reply.status == 400


@pytest.mark.one_engine
async def test_a_refusal_is_kept_with_its_reason(hq, shelf):
    await recount(hq, {"facing": "A1", "on_hand": 7})
    (command,), _ = await asked(hq, shelf)
    await shelf.tell(done(command, "refused", "count again"))
    assert (await asked(hq, shelf))[0] == []
    assert await hq.rows("select outcome, reason from command") == [("refused", "count again")]


async def test_a_gateway_with_an_empty_or_older_disk_is_not_handed_what_is_done(hq, shelf, make):
    await recount(hq, {"facing": "A1", "on_hand": 7})
    (command,), _ = await asked(hq, shelf)
    backup = shelf.outbox.copy(2)
    await shelf.tell(make.stock("A1", 7, cause="recount"), done(command))
    for disk in (make.Outbox(), backup):
        again = await hq.same_store(shelf, disk)
        await again.hello()
        assert (await asked(hq, again))[0] == []


async def test_what_a_gateway_that_is_gone_was_handed_is_handed_to_no_other(hq, shelf, make):
    """It may have been done there, and what it did was lost with the disk: nobody knows how old it is."""
    await recount(hq, {"facing": "A1", "on_hand": 7})
    (command,), _ = await asked(hq, shelf)
    await recount(hq, {"facing": "A2", "on_hand": 3})
    fresh = await hq.same_store(shelf, make.Outbox())
    await fresh.hello()
    left, _ = await asked(hq, fresh)
    assert [c["body"] for c in left] == [{"facing": "A2", "on_hand": 3}]
    await shelf.hello()
    await shelf.tell(done(command))
    outcomes = await hq.rows("select outcome from command order by n")
    assert outcomes == [("applied",), ("unknown",)]


@pytest.mark.one_engine
async def test_a_gateway_that_only_starts_again_is_handed_what_it_did_not_do(hq, shelf):
    await recount(hq, {"facing": "A1", "on_hand": 7})
    (first,), _ = await asked(hq, shelf)
    await shelf.hello()
    assert [c["id"] for c in (await asked(hq, shelf))[0]] == [first["id"]]


async def test_after_an_hour_a_count_is_too_old(hq, shelf, monkeypatch, caplog):
    monkeypatch.setattr(commands_module, "LIFE", -commands_module.LIFE)
    await recount(hq, {"facing": "A1", "on_hand": 7})
    assert (await asked(hq, shelf))[0] == []
    assert "1 command(s) were not done" in caplog.text


@pytest.mark.one_engine
async def test_open_commands_survive_a_restart_of_hq(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)))
        await recount(hq, {"facing": "A1", "on_hand": 7})
    async with start_hq(tmp_path / "hq") as hq:
        store.url = hq.url
        store.http = hq.http
        reply = await store.send()
        found, after = await asked(hq, store)
        assert [c["body"]["on_hand"] for c in found] == [7]
        assert reply["commands_after"] == after > 0


@pytest.mark.one_engine
async def test_numbers_go_on_above_those_that_a_restored_hq_has_forgotten(start_hq, tmp_path, make):
    """An agent that stands behind a command of before must still be told of the next one."""
    folder = tmp_path / "hq"
    async with start_hq(folder) as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)))
    shutil.copy(folder / FILE_NAME, tmp_path / "backup")
    async with start_hq(folder) as hq:
        for on_hand in range(3):
            await recount(hq, {"facing": "A1", "on_hand": on_hand})
        _, handed = await asked(hq, store)
    for part in folder.glob(f"{FILE_NAME}*"):
        part.unlink()
    shutil.copy(tmp_path / "backup", folder / FILE_NAME)
    async with start_hq(folder) as hq:
        hq.token = (await hq.command("token add", name="later", role="admin"))["token"]
        assert await asked(hq, store, handed) == ([], handed)
        await recount(hq, {"facing": "A1", "on_hand": 9})
        (command,), _ = await asked(hq, store, handed)
        assert command["body"]["on_hand"] == 9


@pytest.mark.one_engine
async def test_a_database_of_before_commands_takes_them(start_hq, tmp_path, make):
    folder = tmp_path / "hq"
    folder.mkdir()
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.executescript(f"{MIGRATIONS[0]} pragma user_version = 1;")
    async with start_hq(folder) as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)))
        assert (await recount(hq, {"facing": "A1", "on_hand": 7}))[0] == 202


async def test_settled_commands_are_forgotten_with_the_old_events(hq, shelf):
    await recount(hq, {"facing": "A1", "on_hand": 7})
    later = "2999-01-01T00:00:00.000Z"
    while await hq.engine.prune(events_before=later, items_before=later, buckets_before_ms=0):
        pass
    newest = (await shelf.send())["commands_after"]
    assert await asked(hq, shelf) == ([], newest)
    assert newest > 0


@pytest.mark.one_engine
async def test_the_openapi_document_has_the_call_and_its_body(hq):
    document = await hq.get("/openapi.json")
    call = document["paths"]["/v1/stores/{store}/recounts"]["post"]
    assert "202" in call["responses"]
    body = json.dumps(call["requestBody"])
    assert "#/components/schemas/Recount" in body
    assert set(document["components"]["schemas"]["Recount"]["properties"]) == {"facing", "on_hand"}
