"""The event stream: live, resumed, filtered, and ended when it has to end."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from cloud_bridge.errors import Unavailable

pytestmark = pytest.mark.engines


class Reader:
    """A stream as an EventSource reads it."""

    def __init__(self, reply) -> None:
        self._reply = reply

    async def event(self) -> tuple[str, dict]:
        """The next event's id and data; EOFError when the stream has ended."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while True:
                line = (await self._reply.content.readline()).decode()
                if not line:
                    raise EOFError
                if line == "\n" and "data" in fields:
                    return fields["id"], json.loads(fields["data"])
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value


@asynccontextmanager
async def reading(hq, *, token=None, last_event_id=None, **query):
    headers = {"Authorization": f"Bearer {token or hq.token}"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    async with hq.http.get(f"{hq.url}/v1/stream", params=query, headers=headers) as reply:
        assert reply.status == 200
        assert reply.content_type == "text/event-stream"
        yield Reader(reply)


async def test_events_arrive_as_they_are_committed_and_equal_rest(hq, store, make):
    async with reading(hq) as reader:
        await store.tell(make.stock("A1", 5))
        cursor, event = await reader.event()
    assert (await hq.events())[-1] == event
    assert cursor == event["cursor"]


async def test_a_new_stream_begins_now_and_an_old_one_where_it_was(hq, store, make):
    await store.tell(*(make.stock("A1", n) for n in range(1, 6)))
    past = await hq.events()
    async with reading(hq) as live, reading(hq, after=past[1]["cursor"]) as resumed:
        assert [(await resumed.event())[0] for _ in range(3)] == [e["cursor"] for e in past[2:]]
        await store.tell(make.stock("A1", 9))
        assert (await live.event())[1]["data"]["on_hand"] == 9
    async with reading(hq, after=past[0]["cursor"], last_event_id=past[3]["cursor"]) as again:
        assert (await again.event())[0] == past[4]["cursor"]


@pytest.mark.one_engine
async def test_a_cursor_ahead_of_the_feed_is_refused_and_never_waited_for(hq, store, make):
    await store.tell(make.stock("A1", 5), make.stock("A1", 4))
    name, _, number = (await hq.events())[-1]["cursor"].rpartition(".")
    ahead = f"{name}.{int(number) + 1}"
    for headers, query in (({}, {"after": ahead}), ({"Last-Event-ID": ahead}, {})):
        headers["Authorization"] = f"Bearer {hq.token}"
        async with hq.http.get(f"{hq.url}/v1/stream", params=query, headers=headers) as refused:
            assert (refused.status, refused.content_type) == (400, "application/problem+json")


@pytest.mark.one_engine
async def test_a_stream_filters_by_store_and_type(hq, store, make):
    other = await hq.new_store("s2")
    await other.hello()
    async with reading(hq, store="s2", type="gap.opened") as reader:
        gap = ("gap.opened", {"facing": "A1", "device": "cam", "fill": 0.0})
        await store.tell(gap)
        await other.tell(make.stock("A1", 1), gap)
        _, event = await reader.event()
        assert (event["store"], event["type"]) == ("s2", "gap.opened")


@pytest.mark.one_engine
async def test_a_reader_far_behind_gets_every_event_once(hq, store, make):
    """More than memory keeps: the rest comes from the database, with commits going on meanwhile."""
    store.outbox.add(*(make.stock("A1", n) for n in range(1, 9001)))
    start = (await hq.get("/v1/events"))["next_cursor"]
    async with reading(hq, after=start) as reader, asyncio.TaskGroup() as group:

        async def send():
            for last in range(1000, 9001, 1000):
                await store.send(last=last)

        sending = group.create_task(send())
        seqs = [(await reader.event())[1]["seq"] for _ in range(9000)]
        await sending
    assert seqs == list(range(1, 9001))
    async with reading(hq, after=start) as late:
        assert [(await late.event())[1]["seq"] for _ in range(9000)] == seqs


async def test_revoking_a_token_ends_its_streams_at_once(hq, store, make):
    token = (await hq.command("token add", name="wall", role="viewer"))["token"]
    async with reading(hq, token=token) as reader, reading(hq) as other:
        await hq.command("token revoke", name="wall")
        with pytest.raises(EOFError):
            await reader.event()
        await store.tell(make.stock("A1", 1))
        assert (await other.event())[1]["seq"] == 1


@pytest.mark.one_engine
async def test_a_stopping_hq_ends_its_streams(start_hq, tmp_path):
    async with start_hq(tmp_path / "hq") as hq:
        reply = await hq.http.get(f"{hq.url}/v1/stream", headers={"Authorization": f"Bearer {hq.token}"})
        hq.stop.set()
        with pytest.raises(EOFError):
            await Reader(reply).event()


async def test_a_feed_that_cannot_be_read_ends_the_stream_without_a_second_head(hq, store, make, monkeypatch):
    async def away(*_, **__):
        raise Unavailable("the database is away")

    headers = {"Authorization": f"Bearer {hq.token}"}
    async with hq.http.get(f"{hq.url}/v1/stream", headers=headers) as reply:
        assert await reply.content.readline() == b": follows\n"
        monkeypatch.setattr("cloud_bridge.stream.Hub._since", lambda *_: None)  # a reader that is far behind
        monkeypatch.setattr(hq.engine, "events", away)
        await store.tell(make.stock("A1", 1))
        assert await asyncio.wait_for(reply.read(), 10) == b"\n"
