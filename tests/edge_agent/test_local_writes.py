"""The writing calls of the agent's API over real HTTP: who may, what is taken, and what each refusal says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent import local_writes
from edge_agent.app import StoreAgent, build
from edge_agent.config.store import StoreSettings
from edge_agent.journal import Journal, writer

TOKEN = "secret"
COLA, WATER, EAN8 = "06901234567892", "04006381333931", "00000096385074"
SALE = {"receipt": "r-1", "line": 1, "gtin": COLA, "quantity": 2, "occurred_at": "2026-11-22T10:00:00.123Z"}
Post = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


def settings(folder: Path, token: str | None) -> StoreSettings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    http: dict[str, Any] = {"port": port}
    if token is not None:
        (folder / "token").write_text(token + "\n")
        http["token_file"] = str(folder / "token")
    facings = [{"id": f"A{n}", "gtin": g, "capacity": 12} for n, g in enumerate((COLA, WATER, EAN8), 1)]
    return StoreSettings.model_validate(
        {
            "store": {"id": "s1"},
            "agent": {"data_dir": str(folder / "var"), "http": http},
            "products": [{"gtin": g} for g in (COLA, WATER, EAN8)],
            "facings": facings,
        }
    )


async def up(agent: StoreAgent, stop: asyncio.Event) -> asyncio.Task[None]:
    running = asyncio.create_task(agent.run(stop))
    async with asyncio.timeout(10), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{url(agent)}/healthz"):
                    return running
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.01)


def url(agent: StoreAgent) -> str:
    return f"http://127.0.0.1:{agent.settings.agent.http.port}"


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[StoreAgent]:
    made, stop = build(settings(tmp_path, TOKEN)), asyncio.Event()
    running = await up(made, stop)
    yield made
    stop.set()
    await running
    made.journal.close()


@pytest.fixture
async def post(agent: StoreAgent) -> AsyncIterator[Post]:
    async with aiohttp.ClientSession() as http:

        async def send(call: str, body: Any = None, *, token: str | None = TOKEN, **more: Any) -> Any:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            what = {"data": body} if isinstance(body, bytes) else {"json": body}
            async with http.post(f"{url(agent)}/v1/{call}", headers=headers, **what, **more) as answer:
                return answer.status, await answer.json(content_type=None)

        yield send


def counts(agent: StoreAgent) -> list[int | None]:
    return [belief.on_hand for belief in agent.pipeline.estimator.beliefs.values()]


async def test_a_sale_a_delivery_and_a_recount_move_the_count(post: Post, agent: StoreAgent) -> None:
    assert (await post("recounts", {"facing": "A1", "on_hand": 10}))[0] == 201
    status, answer = await post("sales", SALE)
    assert (status, answer) == (201, {**SALE, "line": "1", "duplicate": False})
    delivery = {"delivery": 77, "line": "a", "gtin": "6901234567892", "quantity": 3, "facing": "A1"}
    assert (await post("deliveries", delivery))[1] == {
        **delivery, "delivery": "77", "gtin": COLA, "duplicate": False,
    }  # fmt: skip
    assert (await post("sales", {**SALE, "line": 2, "quantity": -1}))[0] == 201
    assert counts(agent)[0] == 10 - 2 + 3 + 1


async def test_the_same_line_again_is_200_and_another_content_409(post: Post, agent: StoreAgent) -> None:
    await post("recounts", {"facing": "A1", "on_hand": 10})
    answers = await asyncio.gather(*(post("sales", SALE) for _ in range(10)))
    assert sorted(status for status, _ in answers) == [200] * 9 + [201]
    status, answer = await post("sales", {**SALE, "line": "1", "gtin": "6901234567892"})
    assert (status, answer["duplicate"]) == (200, True)
    status, problem = await post("sales", {**SALE, "quantity": 3})
    assert (status, problem["code"]) == (409, "E-LINE-DIFFERS")
    assert counts(agent)[0] == 8


@pytest.mark.parametrize("gtin", ["96385074", "000096385074", "0000096385074", EAN8])
async def test_a_gtin_of_any_length_is_the_same_item(post: Post, agent: StoreAgent, gtin: str) -> None:
    await post("recounts", {"facing": "A3", "on_hand": 5})
    assert (await post("sales", {**SALE, "gtin": gtin}))[0] == 201
    assert counts(agent)[2] == 3


@pytest.mark.parametrize(
    ("call", "change", "status", "says"),
    [
        ("sales", {"gtin": "06901234567891"}, 400, "gtin: GTIN 06901234567891 has a wrong check digit"),
        ("sales", {"gtin": "12"}, 400, "8, 12, 13 or 14 digits"),
        ("sales", {"gtin": 6901234567892}, 400, "gtin"),
        ("sales", {"gtin": "80614141123458"}, 404, "gtin: 80614141123458 is not in this store"),
        ("sales", {"quantity": 0}, 400, "quantity: must not be 0"),
        ("sales", {"quantity": 1.5}, 400, "quantity"),
        ("sales", {"quantity": True}, 400, "quantity"),
        ("sales", {"quantity": 10_001}, 400, "quantity"),
        ("sales", {"occurred_at": "yesterday"}, 400, "occurred_at: found 'yesterday'; write a time like"),
        ("sales", {"occurred_at": "2026-11-22T10:00:00"}, 400, "occurred_at"),
        ("sales", {"occurred_at": "0001-01-01T00:00:00+14:00"}, 400, "occurred_at"),
        ("sales", {"receipt": ""}, 400, "receipt"),
        ("sales", {"receipt": "a\nb"}, 400, "receipt: must be a number or a printable text of 1 to 128"),
        ("sales", {"receipt": "x" * 129}, 400, "receipt"),
        ("sales", {"line": True}, 400, "line"),
        ("sales", {"line": None}, 400, "line"),
        ("sales", {"till": 1}, 400, "till"),
        ("deliveries", {"quantity": -1}, 400, "quantity"),
        ("deliveries", {"facing": "A9"}, 404, "facing: there is no 'A9'"),
        ("deliveries", {"facing": "A2"}, 400, f"facing: A2 is the place of {WATER}"),
        ("deliveries", {"facing": "a b"}, 400, "facing"),
        ("recounts", {"facing": "A9"}, 404, "facing: there is no 'A9'"),
        ("recounts", {"on_hand": 25}, 400, "between 0 and 24"),
        ("recounts", {"on_hand": -1}, 400, "on_hand"),
        ("recounts", {"on_hand": "5"}, 400, "on_hand"),
    ],
)
async def test_what_does_not_fit_is_a_problem_that_names_the_field(
    post: Post, agent: StoreAgent, call: str, change: dict[str, Any], status: int, says: str
) -> None:
    good = {
        "sales": SALE,
        "deliveries": {"delivery": "d", "line": 1, "gtin": COLA, "quantity": 1},
        "recounts": {"facing": "A1", "on_hand": 5},
    }
    answered, problem = await post(call, {**good[call], **change})
    assert (answered, problem["status"]) == (status, status)
    assert says in problem["detail"]
    assert counts(agent) == [None, None, None]


@pytest.mark.parametrize("field", SALE)
async def test_every_field_of_a_sale_is_needed(post: Post, field: str) -> None:
    status, problem = await post("sales", {key: value for key, value in SALE.items() if key != field})
    assert (status, problem["detail"].partition(":")[0]) == (400, field)
    assert problem["hint"] == "fields: receipt, line, gtin, quantity, occurred_at"


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"[]", 400), (b"{", 400), (b"\xff", 400), (b" " * 20_000, 413)]
)
async def test_a_body_that_is_no_object_or_too_large_is_refused(post: Post, body: bytes, status: int) -> None:
    answered, problem = await post("sales", body)
    assert (answered, problem["title"] != "") == (status, True)


async def test_a_list_of_sales_is_not_one_sale(post: Post) -> None:
    status, problem = await post("sales", [SALE])
    assert (status, "one JSON object" in problem["detail"]) == (400, True)


@pytest.mark.parametrize("token", [None, "", "Secret", "secret2", "sécret"])
async def test_without_the_token_nothing_is_written(post: Post, agent: StoreAgent, token: str | None) -> None:
    status, problem = await post("recounts", {"facing": "A1", "on_hand": 5}, token=token)
    assert (status, problem["code"]) == (401, "E-UNAUTHORIZED")
    assert counts(agent)[0] is None


async def test_without_a_configured_token_nobody_writes(tmp_path: Path) -> None:
    agent, stop = build(settings(tmp_path, None)), asyncio.Event()
    running = await up(agent, stop)
    headers = {"Authorization": "Bearer None"}
    body = {"facing": "A1", "on_hand": 5}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url(agent)}/v1/recounts", json=body, headers=headers) as answer,
    ):
        problem = await answer.json(content_type=None)
    assert (answer.status, answer.content_type) == (403, "application/problem+json")
    assert "agent.http.token_file" in problem["hint"]
    stop.set()
    await running
    agent.journal.close()


async def test_when_the_disk_is_full_a_till_may_ask_again_and_the_line_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_writes, "DURABLE_WITHIN_S", 0.3)
    monkeypatch.setattr(writer, "AGAIN_AFTER_S", 0.01)
    agent, stop = build(settings(tmp_path, TOKEN)), asyncio.Event()
    running = await up(agent, stop)
    agent.journal.limit_pages(1)
    statuses: list[int] = []

    async def tell(number: int) -> dict[str, object]:
        body = {**SALE, "line": number, "receipt": "x" * 128}
        async with http.post(f"{url(agent)}/v1/sales", json=body) as answer:
            statuses.append(answer.status)
            assert answer.status != 503 or answer.headers["Retry-After"] == "1"
            return await answer.json(content_type=None)  # type: ignore[no-any-return]  # as the API says

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        while 503 not in statuses:
            await tell(len(statuses))
        last = len(statuses) - 1
        assert agent.journal.refusal is not None
        assert (await tell(last))["code"] == "E-JOURNAL"
        agent.journal.limit_pages(100_000)
        assert (await tell(last))["duplicate"] is True
    stop.set()
    await running
    agent.journal.close()
    again = Journal(tmp_path / "var")
    assert again.content_of(("sale", "x" * 128, str(last))) is not None
    again.close()


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 400), ("none", 401)])
async def test_a_body_that_is_not_what_its_headers_say_is_a_400_and_nothing_for_the_log(
    agent: StoreAgent, caplog: pytest.LogCaptureFixture, token: str, status: int
) -> None:
    """Whoever reaches the port could write tracebacks into the log."""
    headers = {"Authorization": f"Bearer {token}", "Content-Encoding": "gzip"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url(agent)}/v1/sales", headers=headers, data=b"hello") as answer,
    ):
        assert answer.status == status
        await answer.read()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_what_is_no_http_is_nothing_for_the_log(
    agent: StoreAgent, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.settings.agent.http.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
    async with asyncio.timeout(10):
        assert b"400 Bad Request" in await reader.read()
    writer.close()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
