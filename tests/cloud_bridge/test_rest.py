"""REST as other people's systems touch it: shapes, pages, CSV, problems, the OpenAPI document."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from pydantic import TypeAdapter, ValidationError

from cloud_bridge.api import Api
from cloud_bridge.problems import problems
from cloud_bridge.replies import cell

FACING_KEYS = {
    "store", "facing", "gtin", "name", "on_hand", "capacity", "reorder_point", "status", "confidence", "sources",
    "changed_at", "observed_at", "received_at", "version", "reorder_due_at",
}  # fmt: skip
CURSOR = re.compile(r"^[A-Za-z0-9._~-]+$")


@pytest.fixture
async def filled(hq, store, make):
    """A store with six facings, two devices, footfall and climate."""
    facings = [(f"A{n}", make.COLA if n % 2 else make.WATER) for n in range(1, 7)]
    await store.tell(
        make.planogram(*facings),
        *(make.stock(f, 10 * n, gtin=g, confidence=n / 10) for n, (f, g) in enumerate(facings, 1)),
        make.stock("A1", 0, status="out"),
        make.stock("A3", 3, status="low"),
        ("device.changed", {"device": "scale-1", "driver": "mt-sics", "status": "online", "reason": None}),
        ("device.changed", {"device": "cam", "driver": "camera", "status": "offline", "reason": "E-LINK-LOST"}),
        *(
            ("footfall.counted", {"device": "cam", "line": line, "start": start, "seconds": 60, "entered": n, "exited": 1})
            for line, start, n in (
                ("door", "2026-11-21T15:59:00.000Z", 1), ("door", "2026-11-21T16:00:00.000Z", 2),
                ("door", "2026-11-21T16:01:00.000Z", 4), ("exit", "2026-11-21T16:01:00.000Z", 8),
            )
        ),
        *(
            ("environment.measured", {"device": "fridge", "quantity": q, "unit": u, "start": "2026-11-21T16:00:00.000Z",
                                      "seconds": 60, "min": 1.0, "max": 3.0, "mean": 2.0})
            for q, u in (("humidity_pct", "%"), ("temperature_c", "Cel"))
        ),
        ("gap.opened", {"facing": "A1", "device": "cam", "fill": 0.0}),
        ("item.arrived", {"epc": "30ab", "gtin": make.COLA, "serial": "1", "facing": "A1", "device": "rfid"}),
    )  # fmt: skip
    return store


async def every_page(hq, path, **query):
    items, cursor = [], {}
    while True:
        page = await hq.get(path, **query, **cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert CURSOR.match(page["next_cursor"])
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.engines
async def test_a_store_item_says_how_the_store_is(hq, filled):
    (item,) = (await hq.get("/v1/stores"))["items"]
    assert item == {
        "store": "s1", "name": "Demo", "gln": "4012345000009", "status": "online",
        "last_seen_at": item["last_seen_at"], "facings": 6, "out": 1, "low": 1, "pending": 0,
        "as_of": item["last_seen_at"], "catching_up": False,
    }  # fmt: skip


@pytest.mark.engines
async def test_facings_have_their_shape_and_filter(hq, filled):
    page = await hq.get("/v1/stores/s1/facings")
    assert {"items", "next_cursor", "as_of", "catching_up"} == page.keys()
    assert all(item.keys() == FACING_KEYS for item in page["items"])
    out = await hq.get("/v1/stores/s1/facings", status="out")
    assert [item["facing"] for item in out["items"]] == ["A1"]
    assert await hq.get("/v1/stores/s1/facings/A1") == out["items"][0]


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/stores/s1/facings", 4), ("/v1/stores/s1/devices", 1), ("/v1/stores/s1/environment", 1),
     ("/v1/stores/s1/footfall", 1)],
)  # fmt: skip
@pytest.mark.engines
async def test_pages_together_are_the_whole_list(hq, filled, path, limit):
    span = {"from": "2026-11-20T00:00:00.000Z", "to": "2026-11-23T00:00:00.000Z"}
    query = span if "footfall" in path or "environment" in path else {}
    whole = (await hq.get(path, **query))["items"]
    assert len(whole) > 1
    assert await every_page(hq, path, limit=limit, **query) == whole


async def test_stores_page_too(hq):
    for n in range(5):
        await hq.new_store(f"s{n}")
    assert [i["store"] for i in await every_page(hq, "/v1/stores", limit=2)] == [f"s{n}" for n in range(5)]


@pytest.mark.engines
async def test_stock_adds_up_over_stores_and_promises_nothing_of_silent_ones(hq, filled, make):
    await hq.new_store("never-heard")
    stock = await hq.get("/v1/stock", gtin=make.COLA)
    assert (stock["on_hand"], stock["available"]) == (53, 48)  # 3 at 0.9 less 1, 50 at 0.5 less 4
    (item,) = stock["items"]
    assert item.keys() == {"store", "on_hand", "available", "as_of", "confidence"}
    assert item["confidence"] == 0.5
    assert (await hq.get("/v1/stock", gtin="6901234567892"))["on_hand"] == 53
    assert (await hq.get("/v1/stock", gtin="4012345000009"))["items"] == []


@pytest.mark.engines
async def test_devices_are_as_their_store_described_them(hq, filled):
    scale, cam = sorted(
        (await hq.get("/v1/stores/s1/devices"))["items"], key=lambda d: d["status"], reverse=True
    )
    assert scale.keys() == {"device", "driver", "status", "reason", "since", "last_seen_at"}
    assert (cam["status"], cam["reason"], cam["last_seen_at"]) == ("offline", "E-LINK-LOST", None)


@pytest.mark.engines
async def test_days_of_footfall_begin_at_the_stores_midnight(hq, filled):
    span = {"from": "2026-11-20T00:00:00.000Z", "to": "2026-11-23T00:00:00.000Z"}
    days = (await hq.get("/v1/stores/s1/footfall", bucket="1d", **span))["items"]
    assert [(d["line"], d["start"], d["entered"]) for d in days] == [
        ("door", "2026-11-20T16:00:00.000Z", 1),
        ("door", "2026-11-21T16:00:00.000Z", 6),
        ("exit", "2026-11-21T16:00:00.000Z", 8),
    ]
    hours = (await hq.get("/v1/stores/s1/footfall", **span))["items"]
    assert [(h["start"], h["entered"]) for h in hours if h["line"] == "door"] == [
        ("2026-11-21T15:00:00.000Z", 1), ("2026-11-21T16:00:00.000Z", 6),
    ]  # fmt: skip


@pytest.mark.engines
async def test_the_planogram_is_the_applied_one(hq, filled):
    planogram = await hq.get("/v1/stores/s1/planogram")
    assert (planogram["revision"], planogram["applied_revision"]) == (0, 0)
    assert planogram["facings"][0]["width_mm"] == 90
    await hq.new_store("s9")
    assert (await hq.get("/v1/stores/s9/planogram"))["applied_revision"] is None


@pytest.mark.engines
async def test_events_by_cursor_miss_nothing_and_filter(hq, filled):
    events = await hq.events(limit=3)
    assert [e["seq"] for e in events] == list(range(2, 20))
    assert {e["type"] for e in events} == {
        "stock.changed", "device.changed", "footfall.counted", "environment.measured", "gap.opened", "item.arrived",
    }  # fmt: skip
    assert all(CURSOR.match(e["cursor"]) for e in events)
    assert len({e["eid"] for e in events}) == len(events)
    gaps = await hq.events(type="gap.opened", store="s1")
    assert gaps == [e for e in events if e["type"] == "gap.opened"]
    end = await hq.get("/v1/events", after=events[-1]["cursor"])
    assert end == {"items": [], "next_cursor": events[-1]["cursor"], "as_of": None, "catching_up": None}
    assert CURSOR.match((await hq.get("/v1/events", type="environment.alarm"))["next_cursor"])


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/v1/stores/nowhere/facings", {}, 404),
        ("/v1/stores/nowhere/devices", {}, 404),
        ("/v1/stores/nowhere/footfall", {}, 404),
        ("/v1/stores/nowhere/environment", {}, 404),
        ("/v1/stores/nowhere/planogram", {}, 404),
        ("/v1/stores/s1/facings/nowhere", {}, 404),
        ("/v1/events", {"store": "nowhere"}, 404),
        ("/v1/stream", {"store": "nowhere"}, 404),
        ("/v1/nothing", {}, 404),
        ("/v1/stores", {"limit": "0"}, 400),
        ("/v1/stores", {"limit": "1001"}, 400),
        ("/v1/stores", {"limit": "many"}, 400),
        ("/v1/stores", {"cursor": "!"}, 400),
        ("/v1/stores", {"cursor": "A"}, 400),
        ("/v1/stores", {"colour": "red"}, 400),
        ("/v1/stores/s1/facings", {"status": "empty"}, 400),
        ("/v1/stores/s1/footfall", {"bucket": "2h"}, 400),
        ("/v1/stores/s1/footfall", {"from": "yesterday"}, 400),
        ("/v1/stores/s1/footfall", {"from": "1970-01-01T00:00:00Z", "bucket": "1m"}, 400),
        ("/v1/stores/s1/environment", {"cursor": "abc"}, 400),
        ("/v1/stock", {}, 400),
        ("/v1/stock", {"gtin": "06901234567890"}, 400),
        ("/v1/events", {"after": "0"}, 400),
        ("/v1/events", {"after": "zzz.1"}, 400),
        ("/v1/events", {"type": "stock.vanished"}, 400),
        ("/v1/stream", {"after": "zzz.1"}, 400),
    ],
)
async def test_what_does_not_fit_is_a_problem_that_says_why(hq, store, make, path, query, status):
    with pytest.raises(make.Refused) as refused:
        await hq.get(path, **query)
    problem = refused.value
    assert problem.status == status
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert problem.problem.keys() >= {"type", "title", "status", "detail", "code"}


async def test_a_cursor_ahead_of_the_feed_is_refused(hq, store, make):
    page = await hq.get("/v1/events")
    ahead = page["next_cursor"].rpartition(".")[0] + ".999"
    with pytest.raises(make.Refused):
        await hq.get("/v1/events", after=ahead)


async def test_a_wrong_method_says_which_are_allowed(hq):
    async with hq.http.put(f"{hq.url}/v1/stores") as reply:
        assert (reply.status, reply.headers["Allow"]) == (405, "GET")


async def test_when_a_facing_is_due_is_shown_as_its_store_said_last(hq, store, make):
    due = "2026-11-22T16:40:00.000Z"
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 9, reorder_due_at=due))
    facing = await hq.get("/v1/stores/s1/facings/A1")
    assert list(facing)[-1] == "reorder_due_at"
    assert facing["reorder_due_at"] == due
    rows, _ = await read_csv(hq, "/v1/stores/s1/facings")
    assert rows[0]["reorder_due_at"] == due
    document = await hq.get("/openapi.json")
    assert "reorder_due_at" in document["components"]["schemas"]["FacingRecord"]["required"]
    assert (await hq.events())[-1]["data"].keys() == {
        "facing", "gtin", "change", "on_hand", "confidence", "cause", "sources",
    }  # fmt: skip
    await store.tell(make.stock("A1", 9, confidence=0.8, reorder_due_at="2026-11-22T17:00:00.000Z"))
    assert (await hq.get("/v1/stores/s1/facings/A1"))["reorder_due_at"] == "2026-11-22T17:00:00.000Z"
    await store.tell(make.stock("A1", 8))  # an agent that does not know of it
    assert (await hq.get("/v1/stores/s1/facings/A1"))["reorder_due_at"] is None
    await store.tell(make.stock("A1", 7, reorder_due_at=due), make.planogram(("A1", make.WATER), revision=1))
    assert (await hq.get("/v1/stores/s1/facings/A1"))["reorder_due_at"] is None
    assert await hq.audit_problems() == []


async def read_csv(hq, path, **query):
    headers = {"Authorization": f"Bearer {hq.token}", "Accept": "text/csv"}
    async with hq.http.get(hq.url + path, params=query, headers=headers) as reply:
        assert reply.content_type == "text/csv"
        return list(csv.DictReader(io.StringIO(await reply.text(), newline=""))), reply.headers


async def test_every_list_is_also_csv(hq, filled, make):
    span = {"from": "2026-11-20T00:00:00.000Z", "to": "2026-11-23T00:00:00.000Z"}
    for path, query in (
        ("/v1/stores", {}), ("/v1/stores/s1/facings", {}), ("/v1/stores/s1/devices", {}), ("/v1/events", {}),
        ("/v1/stores/s1/footfall", span), ("/v1/stores/s1/environment", span), ("/v1/stock", {"gtin": make.COLA}),
    ):  # fmt: skip
        rows, _ = await read_csv(hq, path, **query)
        items = (await hq.get(path, **query))["items"]
        assert len(rows) == len(items)
        assert rows[0].keys() == items[0].keys()
    rows, headers = await read_csv(hq, "/v1/stores/s1/facings", limit=2)
    assert rows[0]["sources"] == "weight"
    assert 'rel="next"' in headers["Link"]


async def test_csv_of_what_a_store_says_holds_no_formula(hq, store, make):
    evil = "=cmd|' /C calc'!A0"
    kind, body = make.planogram(("A1", make.COLA))
    body["products"][0]["name"] = evil
    await store.tell((kind, body))
    rows, _ = await read_csv(hq, "/v1/stores/s1/facings")
    assert rows[0]["name"] == "'" + evil


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_start_like_a_formula_are_text(start):
    assert cell(start + "1").startswith("'")
    assert cell(-1) == -1


async def test_replies_are_what_the_openapi_document_says(hq, filled, make):
    document = await hq.get("/openapi.json")
    assert document["openapi"].startswith("3.1")
    async with hq.http.get(f"{hq.url}/openapi.json") as refused:
        assert refused.status == 401
    routes = Api(*[None] * 6).routes()
    served = {route.resource.canonical for route in hq.routes if route.resource and route.method != "HEAD"}
    public = {path for path in served if not path.startswith("/v1/sync/")} - {"/", "/static", "/login"}
    assert public == set(document["paths"])
    for route in routes:
        if route.answer is None or route.method != "GET":
            continue
        query = {"gtin": make.COLA} if route.path == "/v1/stock" else {}
        reply = await hq.get(route.path.format(store="s1", facing="A1"), **query)
        adapter = TypeAdapter(route.answer)
        assert adapter.dump_python(adapter.validate_json(json.dumps(reply), strict=True)) == reply
    with pytest.raises(ValidationError):
        TypeAdapter(routes[0].answer).validate_json('{"items": [{}], "next_cursor": null}', strict=True)


async def test_health_and_metrics_need_no_token_here(hq, filled):
    for path in ("/healthz", "/readyz"):
        async with hq.http.get(hq.url + path) as reply:
            assert (reply.status, (await reply.json())["status"]) == (200, "ok")
    async with hq.http.get(f"{hq.url}/metrics") as reply:
        text = await reply.text()
        assert reply.status == 200
        assert "hq_sync_rows_total" in text
    async with hq.http.get(f"{hq.url}/metrics", headers={"X-Forwarded-For": "198.51.100.7"}) as reply:
        assert reply.status == 401


@pytest.mark.parametrize("path", ["/v1/stores/s1/recounts", "/v1/sync/hello", "/v1/sync/batch"])
async def test_a_client_that_goes_in_the_middle_of_a_body_is_nothing_for_the_log(hq, store, caplog, path):
    caplog.set_level("DEBUG", "aiohttp.server")
    token = store.token if "sync" in path else hq.token
    reader, writer = await asyncio.open_connection("127.0.0.1", hq.bridge.port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n"
        "Content-Length: 9\r\n\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(b"{")
    await writer.drain()
    writer.close()
    async with asyncio.timeout(10):
        while "Connection lost" not in caplog.text:  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_body_that_cannot_be_unpacked_is_a_400(caplog):
    app = web.Application(middlewares=[problems])

    async def read(request):
        return web.Response(body=await request.read())

    app.router.add_post("/", read)
    async with TestServer(app) as server, ClientSession() as http:
        headers = {"Content-Encoding": "gzip"}
        async with http.post(server.make_url("/"), data=b"hello", headers=headers) as reply:
            assert (reply.status, (await reply.json(content_type=None))["code"]) == (400, "E-BAD-REQUEST")
    assert "failed" not in caplog.text


async def test_every_list_of_one_store_says_how_fresh_it_is_as_csv_too(hq, store, make):
    await store.tell(make.stock("A1", 5))
    (listed,) = (await hq.get("/v1/stores"))["items"]
    assert listed["as_of"] is not None
    assert listed["catching_up"] is False
    paths = [f"/v1/stores/s1/{name}" for name in ("facings", "devices", "footfall", "environment")]
    for path in [*paths, "/v1/events?store=s1"]:
        headers = {"Authorization": f"Bearer {hq.token}"}
        async with hq.http.get(hq.url + path, headers=headers) as reply:
            body = await reply.json()
            assert (body["as_of"], body["catching_up"]) == (listed["as_of"], False), path
        async with hq.http.get(hq.url + path, headers=headers | {"Accept": "text/csv"}) as reply:
            assert reply.headers["As-Of"] == listed["as_of"]
            assert reply.headers["Catching-Up"] == "false"
    assert (await hq.get("/v1/events"))["as_of"] is None


async def test_metrics_tell_how_stores_and_backups_are(hq, store, make, tmp_path):
    store.outbox.add(make.stock("A1", 5), ("robot.waved", {}), ("stock.changed", "{}"), make.stock("A1", 4))
    await store.send(1, 3)

    async def figures() -> dict[str, str]:
        async with hq.http.get(f"{hq.url}/metrics") as reply:
            lines = (await reply.text()).splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    found = await figures()
    assert found["hq_rows_pending"] == "1.0"
    assert [found[f'hq_stores{{status="{s}"}}'] for s in ("online", "late", "offline")] == [
        "1.0",
        "0.0",
        "0.0",
    ]
    assert [found[f'hq_set_aside_rows{{fate="{f}"}}'] for f in ("parked", "quarantined")] == ["1.0", "1.0"]
    assert found["hq_backup_age_seconds"] == "NaN"
    await hq.backup(tmp_path / "b")
    lags = float(found["hq_lag_seconds_count"])
    await store.send(4, 4)
    found = await figures()
    assert 0 <= float(found["hq_backup_age_seconds"]) < 60
    assert float(found["hq_lag_seconds_count"]) == lags + 1
