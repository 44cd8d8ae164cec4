"""The uplink against an HQ that answers in every way: who retries, who waits, who says hello again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.digest import Digest, bucket_of, sums_of
from edge_agent.contract.messages import (
    CHAIN_START,
    LOCATOR_LIMIT,
    Batch,
    BatchReply,
    Command,
    CommandsReply,
    Hello,
    HelloReply,
    ItemMoved,
    Position,
    Presence,
    State,
    StoreProfile,
    encode,
    fold_chain,
)
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.journal import Capture, Journal
from edge_agent.stock.belief import Belief
from edge_agent.sync import HqLine, Uplink
from edge_agent.sync.locator import evenly, sparse
from edge_agent.sync.retry import retry_delay_s


class ScriptedHq:
    """An HQ that checks chains and keeps rows, and that answers `refuse` (if set) instead."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.head = Position(0, CHAIN_START.hex())
        self.hellos: list[Hello] = []
        self.states: list[State] = []
        self.sizes: list[int] = []
        self.safe: int | None = None
        self.refuse: Callable[[str, int], web.Response | None] = lambda _call, _rows: None
        self.commands: list[Command] = []
        self.at_once = 100
        self.asked: list[int] = []
        self.digests: list[Digest] = []
        self.differing: list[list[int]] = []
        """What the next comparisons say; equal when there is nothing more."""
        self.forgotten = 0
        """Commands of before that this HQ has forgotten, though it tells that they were there."""

    async def serve(self, request: web.Request) -> web.Response:
        call = request.path.rsplit("/", 1)[1]
        body = zstandard.ZstdDecompressor().decompressobj().decompress(await request.read())
        answer = self.refuse(call, body.count(b'"eid"'))
        return answer or web.Response(body=encode(getattr(self, call)(body)), content_type="application/json")

    async def hand_out(self, request: web.Request) -> web.Response:
        after = int(request.query["after"])
        self.asked.append(after)
        found = self.commands[after : after + self.at_once]
        reply = CommandsReply(commands=found, after=after + len(found))
        return self.refuse("commands", 0) or web.Response(body=encode(reply))

    def hello(self, body: bytes) -> HelloReply:
        self.hellos.append(msgspec.json.decode(body, type=Hello))
        now = rfc3339(utc_now())
        return HelloReply(
            session="s", branch="b", merge=self.head, applied=self.head, safe=0, received_at=now, sent_at=now
        )

    def state(self, body: bytes) -> dict[str, str]:
        self.states.append(msgspec.json.decode(body, type=State))
        return {}

    def batch(self, body: bytes) -> BatchReply:
        batch = msgspec.json.decode(body, type=Batch)
        assert batch.prev_chain == self.head.chain
        assert fold_chain(bytes.fromhex(batch.prev_chain), batch.rows).hex() == batch.last_chain
        self.sizes.append(len(batch.rows))
        self.rows += batch.rows
        if batch.rows:
            self.head = Position(batch.rows[-1].seq, batch.last_chain)
        return BatchReply(
            branch="b",
            applied=self.head,
            safe=self.head.seq if self.safe is None else self.safe,
            next_delay_ms=0,
            server_time=rfc3339(utc_now()),
            commands_after=self.forgotten + len(self.commands),
            differing=self.compare(batch.digest) if batch.digest else [],
        )

    def compare(self, digest: Digest) -> list[int]:
        assert digest.at_seq == self.head.seq
        self.digests.append(digest)
        return self.differing.pop(0) if self.differing else []

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
                await asyncio.sleep(0.01)


def belief(facing: str, on_hand: int | None) -> Belief:
    return Belief(facing, "06901234567892", on_hand)


@pytest.fixture
async def hq() -> AsyncIterator[tuple[ScriptedHq, str]]:
    scripted, app = ScriptedHq(), web.Application(client_max_size=2**24)
    app.router.add_post("/v1/sync/{call}", scripted.serve)
    app.router.add_get("/v1/sync/commands", scripted.hand_out)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield scripted, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def keep(journal: Journal, rows: int) -> None:
    for number in range(rows):
        made = Capture()
        body = ItemMoved(epc=f"{number:024x}", gtin=None, serial=None, facing="A1", device="r1")
        made.effects.tell("item.arrived", body, utc_now())
        wait = journal.submit(made)
    wait.result(30)


@pytest.fixture
async def line(
    tmp_path: Path, hq: tuple[ScriptedHq, str]
) -> AsyncIterator[tuple[ScriptedHq, Journal, Uplink]]:
    scripted, url = hq
    journal = Journal(tmp_path, commit_window_s=0)
    uplink = Uplink(
        journal,
        hq=HqLine(url=url, token="t", tls=None),
        store="s1",
        profile=StoreProfile(name="S", timezone="UTC"),
        presence=Presence,
        version="0",
    )
    yield scripted, journal, uplink
    journal.close()


async def test_rows_arrive_in_order_and_the_acknowledgement_is_kept(
    line: tuple[ScriptedHq, Journal, Uplink],
) -> None:
    hq, journal, uplink = line
    keep(journal, 300)
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(hq.rows) == 300)
    await hq.until(lambda: journal.position.applied == 300)
    task.cancel()
    assert [row.seq for row in hq.rows] == list(range(1, 301))
    assert hq.states == []


async def test_a_big_backlog_sends_the_state_first(line: tuple[ScriptedHq, Journal, Uplink]) -> None:
    hq, journal, uplink = line
    keep(journal, 501)
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(hq.rows) == 501)
    task.cancel()
    assert [state.as_of_seq for state in hq.states] == [501]


@pytest.mark.parametrize("status", [409, 500, 503, 429])
async def test_a_temporary_refusal_costs_time_but_no_row(
    line: tuple[ScriptedHq, Journal, Uplink], status: int
) -> None:
    hq, journal, uplink = line
    keep(journal, 50)
    answers = (web.Response(status=status, headers={"Retry-After": "0"}, text="{}") for _ in range(2))
    hq.refuse = lambda call, _rows: next(answers, None) if call == "batch" else None
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(hq.rows) == 50)
    task.cancel()
    assert len(hq.hellos) == 3  # each refusal leads to a new hello


async def test_too_large_a_batch_is_halved_until_it_fits(line: tuple[ScriptedHq, Journal, Uplink]) -> None:
    hq, journal, uplink = line
    keep(journal, 400)
    hq.refuse = lambda _call, rows: web.Response(status=413) if rows > 100 else None
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(hq.rows) == 400)
    task.cancel()
    assert hq.sizes[:4] == [100] * 4


async def test_a_refused_token_stops_sending_and_says_so(line: tuple[ScriptedHq, Journal, Uplink]) -> None:
    hq, journal, uplink = line
    keep(journal, 5)
    hq.refuse = lambda _call, _rows: web.Response(status=401)
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: "refuses" in (uplink.status.problem or ""))
    task.cancel()
    assert hq.rows == []
    assert journal.position.applied == 0


async def test_an_hq_with_another_history_is_not_believed(line: tuple[ScriptedHq, Journal, Uplink]) -> None:
    hq, journal, uplink = line
    keep(journal, 5)
    hq.head = Position(3, "ab" * 16)
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(hq.hellos) >= 2)
    task.cancel()
    assert hq.rows == []


async def test_a_hello_that_a_proxy_finds_too_large_is_said_and_ends_nothing(
    line: tuple[ScriptedHq, Journal, Uplink],
) -> None:
    hq, _journal, uplink = line
    hq.refuse = lambda _call, _rows: web.Response(status=413)
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: "too large" in (uplink.status.problem or "") or task.done())
    assert not task.done()
    task.cancel()


async def test_a_state_that_a_proxy_finds_too_large_does_not_hold_up_the_rows(
    line: tuple[ScriptedHq, Journal, Uplink],
) -> None:
    hq, journal, uplink = line
    keep(journal, 501)
    hq.refuse = lambda call, _rows: web.Response(status=413) if call == "state" else None
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(hq.rows) == 501 or task.done())
    assert not task.done()
    task.cancel()


GARBAGE: list[tuple[str, bytes, dict[str, str]]] = [
    ("hello", b"<html>log in to the guest network</html>", {}),
    ("hello", b'{"want": [0, 10]}', {}),
    (
        "hello",
        encode(
            HelloReply(
                session="s", branch="b", merge=Position(0, CHAIN_START.hex()),
                applied=Position(0, CHAIN_START.hex()), received_at="2026-13-45T99:99:99.000Z",
            )
        ),
        {},
    ),
    ("batch", b"\xff\xfe", {}),
    ("batch", b"{}", {}),
    ("batch", b"null", {"Content-Encoding": "gzip"}),
    (
        "batch",
        encode(
            BatchReply(
                branch="b", applied=Position(0, CHAIN_START.hex()), safe=0, next_delay_ms=0,
                server_time="2026-11-22T10:00:00.000Z",
            )
        ),
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "answer", "headers"), GARBAGE)
async def test_an_answer_that_makes_no_sense_is_a_line_that_is_down(
    line: tuple[ScriptedHq, Journal, Uplink],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    answer: bytes,
    headers: dict[str, str],
) -> None:
    hq, journal, uplink = line
    monkeypatch.setattr("edge_agent.sync.uplink.REFUSED_DELAY_S", 0.1)
    keep(journal, 5)
    asked = []

    def refuse(now: str, _rows: int) -> web.Response | None:
        asked.append(now)
        return web.Response(body=answer, headers=headers) if now == call else None

    hq.refuse = refuse
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: "HQ" in (uplink.status.problem or "") or task.done())
    assert not task.done()
    assert len(asked) < 300  # no line is hammered for ever
    hq.refuse = lambda _call, _rows: None
    await hq.until(lambda: journal.position.applied == 5 or task.done())
    task.cancel()


@pytest.mark.parametrize("asked", ["\u00b2", "soon", "-5"])
async def test_a_strange_retry_after_is_no_order(
    line: tuple[ScriptedHq, Journal, Uplink], asked: str
) -> None:
    hq, journal, uplink = line
    keep(journal, 5)
    answers = iter([web.Response(status=503, headers={"Retry-After": asked})])
    hq.refuse = lambda _call, _rows: next(answers, None)
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: journal.position.applied == 5 or task.done())
    assert not task.done()
    task.cancel()


async def test_what_became_safe_later_is_kept_without_new_rows(
    line: tuple[ScriptedHq, Journal, Uplink], monkeypatch: pytest.MonkeyPatch
) -> None:
    hq, journal, uplink = line
    monkeypatch.setattr("edge_agent.sync.uplink.HEARTBEAT_S", 0.02)
    keep(journal, 5)
    hq.safe = 2
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: journal.position.safe == 2)
    hq.safe = 5
    await hq.until(lambda: journal.position.safe == 5)
    task.cancel()


async def test_counts_that_hq_has_otherwise_are_told_again_and_compared_more_slowly(
    line: tuple[ScriptedHq, Journal, Uplink], monkeypatch: pytest.MonkeyPatch
) -> None:
    hq, journal, uplink = line
    monkeypatch.setattr("edge_agent.sync.uplink.HEARTBEAT_S", 0.01)
    made = Capture()
    made.effects.beliefs.append(belief("A1", 7))
    made.effects.tell("stock.changed", belief("A1", 7).changed_from(belief("A1", None), "initial"), utc_now())
    journal.submit(made).result(10)
    told: list[list[int]] = []

    async def retell(buckets: Collection[int]) -> None:
        told.append(list(buckets))

    hq.differing = [[bucket_of("A1")]]
    uplink._retell = retell
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(told) == 1)
    heard = len(hq.sizes)
    await hq.until(lambda: len(hq.sizes) > heard + 3)
    task.cancel()
    assert told == [[bucket_of("A1")]]
    assert [digest.sums for digest in hq.digests] == [sums_of([("A1", "06901234567892", 7)])]


async def test_whoever_asks_gets_a_hello_anew_and_a_comparison_however_slow_the_pace_was(
    line: tuple[ScriptedHq, Journal, Uplink],
) -> None:
    hq, journal, uplink = line
    keep(journal, 3)
    hq.differing = [[1]]
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: journal.position.applied == 3 and len(hq.digests) == 1)
    uplink.greet_again()
    await hq.until(lambda: len(hq.hellos) == 2 and len(hq.digests) == 2)
    await hq.until(lambda: uplink.status.online)
    task.cancel()
    assert len(hq.rows) == 3


async def test_each_hello_is_followed_by_a_comparison_behind_the_newest_row(
    line: tuple[ScriptedHq, Journal, Uplink], monkeypatch: pytest.MonkeyPatch
) -> None:
    hq, journal, uplink = line
    monkeypatch.setattr("edge_agent.sync.uplink.HEARTBEAT_S", 0.01)
    uplink._max_rows_now = 2
    keep(journal, 5)
    conflict = iter([None] * 3 + [web.Response(status=409)])
    task = asyncio.create_task(uplink.run())
    await hq.until(lambda: len(hq.digests) == 1)
    hq.refuse = lambda _call, _rows: next(conflict, None)
    await hq.until(lambda: len(hq.digests) == 2)
    task.cancel()
    assert [digest.at_seq for digest in hq.digests] == [5, 5]
    assert len(hq.hellos) == 2


async def test_last_words_send_what_is_left(line: tuple[ScriptedHq, Journal, Uplink]) -> None:
    hq, journal, uplink = line
    keep(journal, 7)
    await uplink.last_words(5)
    assert len(hq.rows) == 7


@given(base=st.integers(0, 10**6), length=st.integers(0, 10**9))
def test_the_locator_is_sparse_newest_first_and_ends_with_the_base(base: int, length: int) -> None:
    seqs = sparse(base, base + length)
    assert seqs == sorted(set(seqs), reverse=True)
    assert (seqs[0], seqs[-1], len(seqs) < 60) == (base + length, base, True)


@given(low=st.integers(0, 10**6), length=st.integers(1, 10**7))
def test_the_second_round_covers_the_range_within_the_limit(low: int, length: int) -> None:
    seqs = evenly(low, low + length)
    assert seqs == sorted(set(seqs), reverse=True)
    assert (seqs[0], seqs[-1]) == (low + length - 1, low)
    assert len(seqs) <= LOCATOR_LIMIT // 2
    assert length > LOCATOR_LIMIT // 2 or len(seqs) == length


@given(st.floats(0, 10**6))
def test_the_first_retry_is_within_a_second_and_none_waits_longer_than_30(outage_s: float) -> None:
    assert 0 <= retry_delay_s(0) <= 1
    assert 0 <= retry_delay_s(outage_s) <= 30


def orders(count: int) -> list[Command]:
    return [Command(id=f"{n:032x}", kind="recount", age_ms=0, body={}) for n in range(count)]


def obeying(journal: Journal, url: str, obeyed: list[str]) -> Uplink:
    async def obey(command: Command) -> None:
        obeyed.append(command.id)

    profile = StoreProfile(name="S", timezone="UTC")
    return Uplink(
        journal,
        hq=HqLine(url=url, token="t", tls=None),
        store="s1",
        profile=profile,
        presence=Presence,
        version="0",
        obey=obey,
    )


async def test_commands_are_asked_for_only_when_there_are_some_and_done_in_order(
    tmp_path: Path, hq: tuple[ScriptedHq, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.sync.uplink.HEARTBEAT_S", 0.02)
    (scripted, url), journal, obeyed = hq, Journal(tmp_path, commit_window_s=0), list[str]()
    uplink = obeying(journal, url, obeyed)
    task = asyncio.create_task(uplink.run())
    await scripted.until(lambda: len(scripted.sizes) > 3)
    assert scripted.asked == []
    scripted.at_once, scripted.commands = 2, orders(5)
    await scripted.until(lambda: len(obeyed) == 5)
    heartbeats = len(scripted.sizes)
    await scripted.until(lambda: len(scripted.sizes) > heartbeats + 3)
    assert scripted.asked == [0, 2, 4]
    assert obeyed == [command.id for command in scripted.commands]
    task.cancel()
    journal.close()


async def test_an_hq_that_has_forgotten_its_newest_command_is_asked_once_and_gets_the_rows(
    tmp_path: Path, hq: tuple[ScriptedHq, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.sync.uplink.HEARTBEAT_S", 0.02)
    (scripted, url), journal = hq, Journal(tmp_path, commit_window_s=0)
    scripted.forgotten = 2**52
    task = asyncio.create_task(obeying(journal, url, []).run())
    await scripted.until(lambda: len(scripted.asked) == 1)
    keep(journal, 10)
    await scripted.until(lambda: len(scripted.rows) == 10)
    assert scripted.asked == [0]
    task.cancel()
    journal.close()


async def test_an_hq_that_cannot_hand_out_commands_still_gets_the_rows(
    tmp_path: Path, hq: tuple[ScriptedHq, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.sync.uplink.retry_delay_s", lambda _outage_s: 0.01)
    (scripted, url), journal, obeyed = hq, Journal(tmp_path, commit_window_s=0), list[str]()
    scripted.commands = orders(1)
    scripted.refuse = lambda call, _rows: web.Response(status=500) if call == "commands" else None
    uplink = obeying(journal, url, obeyed)
    task = asyncio.create_task(uplink.run())
    for _ in range(3):
        keep(journal, 10)
        wanted = journal.durable_seq
        await scripted.until(lambda n=wanted: len(scripted.rows) == n)
    scripted.refuse = lambda _call, _rows: None
    await scripted.until(lambda: len(obeyed) == 1)
    task.cancel()
    journal.close()
