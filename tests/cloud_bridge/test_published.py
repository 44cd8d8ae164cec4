"""Planograms and settings that HQ publishes: who may, what replaces what, and for how long it is wanted."""

from __future__ import annotations

import asyncio
import io
import shutil
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import aiohttp
import pytest

from cloud_bridge.store.orders import RESET, SUPERSEDED
from cloud_bridge.store.sqlite.schema import FILE_NAME, MIGRATIONS

pytestmark = pytest.mark.engines

COLA, WATER = "06901234567892", "04006381333931"
TWO = {
    "products": [{"gtin": COLA, "name": "Cola", "unit_weight_g": 352.0}, {"gtin": WATER}],
    "facings": [{"id": "A1", "gtin": WATER, "capacity": 12}, {"id": "A3", "gtin": COLA, "capacity": 8}],
}


async def put(hq, body, *, match="0", what="planogram", store="s1", token=None, headers=None):
    """Status, answer and ETag of a PUT."""
    given = {"Authorization": f"Bearer {token or hq.token}"} if headers is None else headers
    if match is not None:
        given = {**given, "If-Match": match}
    text = {"data": io.BytesIO(body)} if isinstance(body, bytes) else {"json": body}
    async with hq.http.put(f"{hq.url}/v1/stores/{store}/{what}", headers=given, **text) as reply:
        return reply.status, await reply.json(content_type=None), reply.headers.get("ETag")


async def asked(hq, store, after=0):
    headers = {"Authorization": f"Bearer {store.token}"}
    async with hq.http.get(f"{hq.url}/v1/sync/commands?after={after}", headers=headers) as reply:
        assert reply.status == 200
        return (await reply.json())["commands"]


def done(command, outcome="applied", reason=None, newest=0):
    body = {"command": command["id"], "outcome": outcome, "reason": reason, "newest": newest}
    return "command.done", body


def applied(make, revision, *, reset_of=0):
    kind, body = make.planogram(("A1", make.WATER), ("A3", make.COLA), revision=revision)
    return kind, {**body, "reset_of": reset_of}


async def fates(hq):
    return await hq.rows("select outcome, reason from command order by n")


async def plan(hq):
    return await hq.get("/v1/stores/s1/planogram")


@pytest.fixture
async def shelf(store, make):
    await store.tell(make.planogram(("A1", make.COLA), ("A2", make.WATER)), make.stock("A1", 5))
    return store


async def test_a_planogram_is_published_handed_out_and_in_use_once_the_store_says_so(hq, shelf, make):
    before = await plan(hq)
    assert (before["revision"], before["applied_revision"], before["refused"]) == (0, 0, None)
    assert [f["id"] for f in before["facings"]] == ["A1", "A2"]
    status, answer, etag = await put(hq, TWO)
    assert (status, answer["revision"], answer["applied_revision"], etag) == (200, 1, 0, '"1"')
    assert [f["id"] for f in answer["facings"]] == ["A1", "A3"]
    for _ in range(2):
        (command,) = await asked(hq, shelf)
        assert (command["kind"], command["body"]["revision"]) == ("planogram", 1)
        assert command["body"]["facings"] == answer["facings"]
    await shelf.tell(applied(make, 1), done(command, newest=1))
    assert await asked(hq, shelf) == []
    after = await plan(hq)
    assert (after["revision"], after["applied_revision"], after["refused"]) == (1, 1, None)
    assert await hq.shown() == {"A1": None, "A3": None}
    assert await hq.sums() == {"A1": 0}
    assert await hq.audit_problems() == []


async def test_of_two_that_publish_at_once_one_is_told_to_look_again(hq, shelf):
    answers = await asyncio.gather(*(put(hq, TWO, match='"0"') for _ in range(4)))
    assert sorted(status for status, _, _ in answers) == [200, 412, 412, 412]
    assert (await plan(hq))["revision"] == 1
    status, problem, _ = await put(hq, TWO, match="0")
    assert (status, problem["code"]) == (412, "E-REVISION-OLD")
    assert "newest revision is 1" in problem["detail"]
    assert (await put(hq, TWO, match='"1"'))[1]["revision"] == 2


@pytest.mark.parametrize(
    ("match", "status"), [(None, 428), ("*", 400), ("x", 400), ('W/"0"', 400), ("7", 412)]
)
@pytest.mark.one_engine
async def test_a_put_names_the_revision_that_it_replaces(hq, shelf, match, status):
    answered, problem, _ = await put(hq, TWO, match=match)
    assert (answered, problem["status"]) == (status, status)
    assert problem["hint"]
    assert await asked(hq, shelf) == []


@pytest.mark.one_engine
async def test_every_mistake_of_a_planogram_is_named(hq, shelf):
    bad = {
        "products": [{"gtin": "06901234567893"}, {"gtin": COLA, "unit_weight_g": -1}],
        "facings": [{"id": "a b", "gtin": COLA, "capacity": 0}],
    }
    status, problem, _ = await put(hq, bad)
    assert status == 400
    for place in ("products.0.gtin", "products.1.unit_weight_g", "facings.0.id", "facings.0.capacity"):
        assert place in problem["detail"]
    bad = {"products": [{"gtin": COLA}] * 2, "facings": [{"id": "A1", "gtin": WATER, "capacity": 1}] * 2}
    status, problem, _ = await put(hq, bad)
    assert status == 400
    for sentence in ("is listed twice", "is used twice", "which no product has"):
        assert sentence in problem["detail"]
    heavy = b'{"products": [{"gtin": "06901234567892", "unit_weight_g": 1e999}], "facings": []}'
    for body in (b"{", b"[]", b'{"products": []}', heavy):
        assert (await put(hq, body))[0] == 400
    assert (await put(hq, b" " * 1_100_000))[0] == 413
    assert (await plan(hq))["revision"] == 0


@pytest.mark.one_engine
async def test_only_operators_publish_and_a_cookie_needs_its_csrf_token(hq, shelf):
    viewer = (await hq.command("token add", name="eyes", role="viewer"))["token"]
    operator = (await hq.command("token add", name="hands", role="ops"))["token"]
    assert (await put(hq, TWO, token=viewer))[0] == 403
    assert (await put(hq, TWO, token=shelf.token))[0] == 403
    assert (await put(hq, TWO, token="nobody"))[0] == 401
    assert (await put(hq, TWO, store="s9"))[0] == 404
    assert (await put(hq, TWO, token=operator))[0] == 200
    link = urlsplit((await hq.command("user add", name="ann", role="ops"))["url"])
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(hq.url, cookie_jar=jar) as browser:
        await browser.get(f"{link.path}?{link.query}", allow_redirects=False)
        async with browser.get("/v1/me") as me:
            csrf = (await me.json())["csrf"]
        for headers, status in (({}, 403), ({"X-CSRF-Token": csrf}, 200)):
            given = {"If-Match": "1", **headers}
            async with browser.put("/v1/stores/s1/planogram", json=TWO, headers=given) as reply:
                assert reply.status == status


async def test_a_newer_one_closes_what_the_store_has_not_done(hq, shelf, make):
    await put(hq, TWO)
    (first,) = await asked(hq, shelf)
    await put(hq, TWO, match="1")
    (second,) = await asked(hq, shelf)
    assert second["body"]["revision"] == 2
    assert await fates(hq) == [("expired", SUPERSEDED), (None, None)]
    await shelf.tell(applied(make, 1), done(first, newest=1))  # it was under way already
    assert [c["id"] for c in await asked(hq, shelf)] == [second["id"]]
    found = await plan(hq)
    assert (found["revision"], found["applied_revision"]) == (2, 1)


@pytest.mark.one_engine
async def test_a_refusal_is_shown_with_its_reason_and_in_the_log(hq, shelf, caplog):
    await put(hq, TWO)
    (command,) = await asked(hq, shelf)
    await shelf.tell(done(command, "refused", "facing 'A2' is not in facings"))
    found = await plan(hq)
    assert found["refused"] == {"revision": 1, "reason": "facing 'A2' is not in facings"}
    assert found["applied_revision"] == 0
    assert await asked(hq, shelf) == []
    assert "facing 'A2' is not in facings" in caplog.text
    assert (await put(hq, TWO, match="1"))[1]["refused"] is None


@pytest.mark.one_engine
async def test_a_planogram_never_gets_too_old_nor_is_it_pruned_while_it_is_wanted(hq, shelf):
    await put(hq, TWO)
    later = "2999-01-01T00:00:00.000Z"
    while await hq.engine.prune(events_before=later, items_before=later, buckets_before_ms=0):
        pass
    handed = await hq.engine.hand_out_commands("s1", after=0, newest=0, now=later)
    assert [c.kind for c in handed.commands] == ["planogram"]


@pytest.mark.parametrize("fate", ["handed", "applied", "refused"])
async def test_a_gateway_with_a_new_disk_is_handed_the_newest_again(hq, shelf, make, fate):
    await put(hq, TWO)
    (command,) = await asked(hq, shelf)
    if fate == "applied":
        await shelf.tell(applied(make, 1), done(command, newest=1))
    if fate == "refused":
        await shelf.tell(done(command, "refused", "no"))
    fresh = await hq.same_store(shelf, make.Outbox())
    await fresh.hello()
    reply = await fresh.tell(make.planogram(("A1", make.COLA)))
    assert reply["commands_after"] > 0
    (again,) = await asked(hq, fresh)
    assert again["body"] == command["body"]
    assert again["id"] != command["id"]
    found = await plan(hq)
    assert (found["revision"], found["applied_revision"], found["refused"]) == (1, 0, None)
    await fresh.tell(applied(make, 1), done(again, newest=1))
    assert await asked(hq, fresh) == []
    assert (await plan(hq))["applied_revision"] == 1
    assert await hq.audit_problems() == []


@pytest.mark.one_engine
async def test_a_gateway_whose_disk_is_of_before_is_handed_it_again(hq, shelf, make):
    backup = shelf.outbox.copy(2)
    await put(hq, TWO)
    (command,) = await asked(hq, shelf)
    await shelf.tell(applied(make, 1), done(command, newest=1))
    restored = await hq.same_store(shelf, backup)
    await restored.hello()
    assert (await plan(hq))["applied_revision"] == 0
    assert [c["body"]["revision"] for c in await asked(hq, restored)] == [1]


@pytest.mark.one_engine
async def test_a_wanted_one_is_told_of_also_when_hq_started_anew_without_old_commands(
    start_hq, tmp_path, make
):
    """The number in the answer to the heartbeat comes from the command that is made for the new disk."""
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)))
        await put(hq, TWO)
        (command,) = await asked(hq, store)
        await store.tell(applied(make, 1), done(command, newest=1))
        later = "2999-01-01T00:00:00.000Z"
        while await hq.engine.prune(events_before=later, items_before=later, buckets_before_ms=0):
            pass
    async with start_hq(tmp_path / "hq") as hq:
        store.url, store.http = hq.url, hq.http
        fresh = await hq.same_store(store, make.Outbox())
        await fresh.hello()
        assert (await fresh.tell(make.planogram(("A1", make.COLA))))["commands_after"] > 0
        assert [c["body"]["revision"] for c in await asked(hq, fresh)] == [1]


async def test_a_reset_at_the_store_is_final_until_a_new_one_is_published(hq, shelf, make):
    await put(hq, TWO)
    (command,) = await asked(hq, shelf)
    await shelf.tell(applied(make, 1), done(command, newest=1))
    await shelf.tell(applied(make, 0, reset_of=1))
    found = await plan(hq)
    assert (found["revision"], found["applied_revision"]) == (1, 0)
    assert found["refused"] == {"revision": 1, "reason": RESET}
    assert await asked(hq, shelf) == []
    fresh = await hq.same_store(shelf, make.Outbox())
    await fresh.hello()
    assert await asked(hq, fresh) == []
    status, answer, _ = await put(hq, TWO, match="1")
    assert (status, answer["revision"], answer["refused"]) == (200, 2, None)
    assert [c["body"]["revision"] for c in await asked(hq, fresh)] == [2]


@pytest.mark.one_engine
async def test_a_reset_leaves_what_was_published_after_it(hq, shelf, make):
    await put(hq, TWO)
    (command,) = await asked(hq, shelf)
    await shelf.tell(applied(make, 1), done(command, newest=1))
    await put(hq, TWO, match="1")
    await shelf.tell(applied(make, 0, reset_of=1))
    assert [c["body"]["revision"] for c in await asked(hq, shelf)] == [2]
    assert (await plan(hq))["refused"] is None


@pytest.mark.one_engine
async def test_a_restored_hq_shows_what_the_store_has_and_goes_on_above_it(start_hq, tmp_path, make):
    folder = tmp_path / "hq"
    async with start_hq(folder) as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)))
        await put(hq, TWO)
    shutil.copy(folder / FILE_NAME, tmp_path / "backup")
    async with start_hq(folder) as hq:
        store.url, store.http = hq.url, hq.http
        await store.send()
        (first,) = await asked(hq, store)
        await put(hq, {**TWO, "facings": TWO["facings"][:1]}, match="1")
        (second,) = await asked(hq, store)
        await store.tell(applied(make, 2), done(second, newest=2))
    for part in folder.glob(f"{FILE_NAME}*"):
        part.unlink()
    shutil.copy(tmp_path / "backup", folder / FILE_NAME)
    async with start_hq(folder) as hq:
        hq.token = (await hq.command("token add", name="later", role="admin"))["token"]
        store.url, store.http = hq.url, hq.http
        await store.hello()
        await store.send()
        found = await plan(hq)
        assert (found["revision"], found["applied_revision"]) == (2, 2)
        assert [f["id"] for f in found["facings"]] == ["A1", "A3"]  # what the store told
        assert [c["id"] for c in await asked(hq, store)] == [first["id"]]
        await store.tell(done(first, "refused", "revision 1 is older than 2, which is in use", newest=2))
        assert await asked(hq, store) == []
        assert (await put(hq, TWO, match="2"))[1]["revision"] == 3
        assert await hq.audit_problems() == []


@pytest.mark.one_engine
async def test_settings_are_published_the_same_way(hq, shelf):
    path = "/v1/stores/s1/settings"
    nothing = {"revision": 0, "applied_revision": None, "settings": {}, "refused": None}
    assert await hq.get(path) == nothing
    mine = {"agent": {"retain_days": 7, "stock": {"tag_power": 0.5}}}
    status, answer, etag = await put(hq, {"settings": mine}, what="settings")
    assert (status, answer["revision"], answer["settings"], etag) == (200, 1, mine, '"1"')
    await put(hq, TWO)
    found = {c["kind"]: c for c in await asked(hq, shelf)}
    assert found["settings"]["body"] == {"revision": 1, "settings": mine}
    await shelf.tell(done(found["settings"], newest=1))
    assert (await hq.get(path))["applied_revision"] == 1
    assert [c["kind"] for c in await asked(hq, shelf)] == ["planogram"]
    await put(hq, {"settings": {"agent": {"data_dir": "./elsewhere"}}}, what="settings", match="1")
    second = next(c for c in await asked(hq, shelf) if c["kind"] == "settings")
    await shelf.tell(done(second, "refused", "agent.data_dir: cannot be set by HQ", newest=1))
    answer = await hq.get(path)
    assert (answer["revision"], answer["applied_revision"]) == (2, 1)
    assert answer["refused"] == {"revision": 2, "reason": "agent.data_dir: cannot be set by HQ"}
    assert (await put(hq, {"settings": 1}, what="settings", match="2"))[0] == 400
    assert (await put(hq, b'{"settings": {"a": 1e999}}', what="settings", match="2"))[0] == 400
    assert (await put(hq, {"settings": {}}, what="settings", match=None))[0] == 428


async def test_settings_of_a_lost_memory_are_handed_out_again(hq, shelf, make):
    await put(hq, {"settings": {"agent": {"retain_days": 7}}}, what="settings")
    (command,) = await asked(hq, shelf)
    await shelf.tell(done(command, newest=1))
    fresh = await hq.same_store(shelf, make.Outbox())
    await fresh.hello()
    assert (await hq.get("/v1/stores/s1/settings"))["applied_revision"] is None
    (again,) = await asked(hq, fresh)
    assert again["body"] == command["body"]


@pytest.mark.one_engine
async def test_a_store_that_refuses_an_old_number_lets_hq_go_on_above_its_own(hq, shelf):
    """HQ was set up anew, and the store remembers five revisions of the one before."""
    await put(hq, {"settings": {}}, what="settings")
    (command,) = await asked(hq, shelf)
    await shelf.tell(done(command, "refused", "revision 1 is older than 5, which is in use", newest=5))
    found = await hq.get("/v1/stores/s1/settings")
    assert (found["revision"], found["applied_revision"], found["refused"]["revision"]) == (5, 5, 1)
    assert (await put(hq, {"settings": {}}, what="settings", match="5"))[1]["revision"] == 6


@pytest.mark.one_engine
async def test_a_database_of_before_takes_what_is_published(start_hq, tmp_path, make):
    folder = tmp_path / "hq"
    folder.mkdir()
    before = next(n for n, script in enumerate(MIGRATIONS) if "create table published" in script)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.executescript("".join(MIGRATIONS[:before]) + f" pragma user_version = {before};")
    async with start_hq(folder) as hq:
        store = await hq.new_store()
        await store.hello()
        assert (await put(hq, TWO))[0] == 200
        assert [c["kind"] for c in await asked(hq, store)] == ["planogram"]


@pytest.mark.one_engine
async def test_the_openapi_document_has_the_calls_their_bodies_and_the_header(hq):
    paths = (await hq.get("/openapi.json"))["paths"]
    for what in ("planogram", "settings"):
        call = paths[f"/v1/stores/{{store}}/{what}"]["put"]
        assert {"200", "412", "428"} <= set(call["responses"])
        assert "If-Match" in {p["name"] for p in call["parameters"]}
        assert call["requestBody"]["required"]
