"""The agent's live streams over real HTTP: what a listener gets, and what it cannot do to the devices."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from edge_agent.config.cameras import Camera
from edge_agent.config.devices import MtSics
from edge_agent.config.store import Http
from edge_agent.contract.errors import AgentUnreachable, ConfigError
from edge_agent.contract.times import utc_now
from edge_agent.drivers.tap import Heard, Taps
from edge_agent.health import Condition
from edge_agent.live.asking import ask_status, lines_from
from edge_agent.live.audience import READINGS_KEPT, Audience
from edge_agent.live.web import LISTENERS, LiveRoutes
from edge_agent.local_web import LocalWeb
from edge_agent.readings import Reading, WeightReading

SCALE = MtSics(id="scale-1", driver="mt-sics", port="/dev/none")
CAMERA = Camera(id="cam", driver="camera", source="rtsp://127.0.0.1/x")


class Agent:
    def __init__(self) -> None:
        self.audience, self.taps = Audience(), Taps()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.http = Http(port=probe.getsockname()[1])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        condition = Condition("scale-1", "mt-sics", "offline", "gone", utc_now())
        live = LiveRoutes([SCALE, CAMERA], self.audience, self.taps, lambda: [condition])
        async with LocalWeb(self.http, dict, list, live.routes()):
            yield

    async def listened(self, *, yes: bool = True) -> None:
        async with asyncio.timeout(10):
            while bool(self.audience._followers) is not yes:  # noqa: ASYNC110  # nobody tells of listeners
                await asyncio.sleep(0.01)


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    agent = Agent()
    async with agent.running():
        yield agent


def weights(count: int) -> list[Reading]:
    return [WeightReading("scale-1", None, float(n), True) for n in range(count)]


async def test_a_listener_gets_the_present_state_and_then_every_reading(agent: Agent) -> None:
    async with lines_from(agent.http, "/v1/devices/scale-1/readings") as lines:
        first = json.loads(await anext(lines))
        assert first == {
            "kind": "status",
            "device": "scale-1",
            "status": "offline",
            "reason": "gone",
            "identity": None,
        }
        agent.audience.tell(weights(3))
        assert [json.loads(await anext(lines))["weight_g"] for _ in range(3)] == [0.0, 1.0, 2.0]


async def test_bytes_begin_with_the_header_of_a_recording(agent: Agent) -> None:
    async with lines_from(agent.http, "/v1/devices/scale-1/bytes") as lines:
        assert json.loads(await anext(lines))["driver"] == "mt-sics"
        agent.taps.of("scale-1")(Heard("out", b"SI\r\n"))
        piece = json.loads(await anext(lines))
        assert (piece["dir"], piece["hex"]) == ("out", "53490d0a")


async def test_a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed(agent: Agent) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.http.port, limit=1024)
    writer.write(b"GET /v1/devices/scale-1/readings HTTP/1.1\r\nHost: x\r\n\r\n")
    await agent.listened()
    for _ in range(100):
        agent.audience.tell(weights(1000))
        await asyncio.sleep(0)
    (follower,) = agent.audience._followers["scale-1"]
    assert len(follower._waiting) <= READINGS_KEPT
    async with asyncio.timeout(10):
        while b'"kind":"dropped"' not in await reader.read(65536):
            pass
    writer.close()
    await writer.wait_closed()


async def test_a_listener_that_leaves_is_forgotten(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.live.web.SIGN_OF_LIFE_S", 0.05)
    async with lines_from(agent.http, "/v1/devices/scale-1/readings") as lines:
        await anext(lines)
        await agent.listened()
    await agent.listened(yes=False)


async def test_listeners_do_not_hold_up_the_stop() -> None:
    agent, clock = Agent(), asyncio.get_running_loop().time
    async with ClientSession() as session:
        async with agent.running():
            url = f"http://127.0.0.1:{agent.http.port}/v1/devices/scale-1/readings"
            response = await session.get(url)
            began_s = clock()
        response.close()
    assert clock() - began_s < 3


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/devices/nope/readings", "there is no device 'nope'"),
        ("/v1/devices/nope/bytes", "there is no device 'nope'"),
        ("/v1/devices/cam/bytes", "pictures never leave"),
    ],
)
async def test_what_the_agent_refuses_is_said_with_its_hint(agent: Agent, path: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        async with lines_from(agent.http, path):
            pass
    assert caught.value.hint


async def test_one_listener_too_many_is_asked_to_come_later(agent: Agent) -> None:
    url = f"http://127.0.0.1:{agent.http.port}/v1/devices/scale-1/readings"
    async with ClientSession() as session:
        opened = [await session.get(url) for _ in range(LISTENERS)]
        late = await session.get(url)
        assert late.status == 503
        for response in (*opened, late):
            response.close()


async def test_an_agent_that_ends_is_a_line_that_says_so() -> None:
    agent = Agent()
    async with agent.running():
        opened = lines_from(agent.http, "/v1/devices/scale-1/readings")
        lines = await opened.__aenter__()
        await anext(lines)
    with pytest.raises(AgentUnreachable, match="the agent"):
        await anext(lines)
    await opened.__aexit__(None, None, None)


async def test_somebody_else_at_the_address_is_no_agent() -> None:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/{path:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    http: Any = Http(port=runner.addresses[0][1])
    with pytest.raises(AgentUnreachable, match="no agent of this version"):
        async with lines_from(http, "/v1/devices/a/readings"):
            pass
    with pytest.raises(AgentUnreachable):
        await ask_status(http)
    await runner.cleanup()


async def test_an_agent_on_any_port_cannot_be_asked() -> None:
    with pytest.raises(AgentUnreachable, match=r"agent\.http\.port is 0"):
        await ask_status(Http(port=0))
