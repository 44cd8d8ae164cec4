"""A fridge's thermometer, from its line of text to HQ's alarm and minutes, through a kill."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edge_agent.cli import main
from tests.typed import typed

SENSOR = (
    "devices:\n"
    "  - {{id: fridge, driver: ascii-scale, port: 'socket://127.0.0.1:{port}', pattern: 'T=(?P<value>-?[0-9.]+)',\n"
    "     quantity: temperature_c, limits: {{temperature_c: {{max: 5, for_s: 1.5, hysteresis: 0.5}}}}}}\n"
)


class Thermometer:
    """Ten lines a second to whoever listens."""

    def __init__(self) -> None:
        self.celsius = 4.0
        self.port = 0
        self._loop, self._end = asyncio.new_event_loop(), asyncio.Event()
        self._up = threading.Event()
        self._printing: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._up.wait(10)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._print, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        async with server:
            await self._end.wait()
        await asyncio.gather(*self._printing)

    async def _print(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._printing.add(task)
        task.add_done_callback(self._printing.discard)
        try:
            while not self._end.is_set():
                writer.write(f"T={self.celsius}\r\n".encode())
                await writer.drain()
                await asyncio.sleep(0.1)
        except ConnectionError:
            return  # the agent was killed
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def thermometer() -> Iterator[Thermometer]:
    made = Thermometer()
    yield made
    made.end()


def alarms(world: Any) -> list[tuple[str, float, float]]:
    events = [event["data"] for event in world.events("environment.alarm")]
    assert all((e["device"], e["quantity"]) == ("fridge", "temperature_c") for e in events)
    return [(e["state"], e["value"], e["limit"]) for e in events]


def test_a_warm_fridge_is_one_alarm_at_hq_through_a_kill_and_its_minutes_are_whole(
    world: Any, thermometer: Thermometer, wait_for: Any
) -> None:
    world.write_store(SENSOR.format(port=thermometer.port))
    world.start_hq()
    world.start_agent()
    wait_for(lambda: [e["value"] for e in world.status()["environment"]] == [4.0], what="the first value")
    thermometer.celsius = 8.0
    wait_for(lambda: alarms(world) == [("raised", 8.0, 5.0)], what="the alarm at HQ")
    [shown] = world.status()["environment"]
    assert (shown["device"], shown["quantity"], shown["unit"]) == ("fridge", "temperature_c", "°C")
    assert (shown["value"], shown["alarm"]) == (8.0, "above")
    assert "ALARM" in typed(main, "status", "-c", str(world.store_yaml)).out

    world.kill("agent")
    world.start_agent()
    wait_for(lambda: world.status()["devices"][0]["status"] == "online", what="the sensor after the kill")
    thermometer.celsius = 4.75
    wait_for(lambda: world.status()["environment"][0]["value"] == 4.75, what="a value inside the hysteresis")
    assert world.status()["environment"][0]["alarm"] == "above"
    thermometer.celsius = 4.5
    wait_for(lambda: len(alarms(world)) > 1, what="the end of the alarm at HQ")
    assert alarms(world) == [("raised", 8.0, 5.0), ("cleared", 4.5, 5.0)]

    assert world.stop("agent")[0] == 0
    buckets = world.hq("/v1/stores/store-0042/environment")["items"]
    assert min(b["min"] for b in buckets) == 4.0
    assert max(b["max"] for b in buckets) == 8.0
    assert all(b["min"] <= b["mean"] <= b["max"] and b["seconds"] == 60 for b in buckets)
    assert {(b["device"], b["quantity"], b["unit"]) for b in buckets} == {("fridge", "temperature_c", "°C")}
    assert all(b["start"].endswith(":00.000Z") for b in buckets)
    told = [e["data"] for e in world.events("environment.measured")]
    assert len(told) <= len(buckets) + 1, "a minute is told when it closes and at a stop, not each time"
    assert "Traceback" not in world.log("agent")
