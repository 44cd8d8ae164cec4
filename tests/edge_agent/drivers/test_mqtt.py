"""The shared MQTT session: acknowledged after the commit, whatever dies when; on mosquitto, with two exceptions."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest

from edge_agent.config.store import ImpinjR700, Mqtt
from edge_agent.contract.errors import DeviceError, LinkDenied, LinkLost
from edge_agent.drivers import mqtt as mqtt_module
from edge_agent.drivers import mqtt_connection, mqtt_inbox
from edge_agent.drivers.impinj_r700 import ImpinjR700Driver
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Reading, TagRead

Running = Callable[[object], AbstractAsyncContextManager[asyncio.Task[None]]]
CLIENT = "shelf-edge-test"
TOPICS = {"r1": "rfid/one", "r2": "rfid/two"}


def tag(number: int) -> str:
    event = {"epcHex": f"{number:024x}", "antennaPort": 1, "peakRssiCdbm": -5000}
    return json.dumps({"eventType": "tagInventory", "tagInventoryEvent": event})


def numbers(readings: Iterable[Reading]) -> list[int]:
    return [int(reading.epc, 16) for reading in readings if isinstance(reading, TagRead)]


def session_to(broker: Any, topics: dict[str, str] = TOPICS, **settings: Any) -> MqttSession:
    return MqttSession(Mqtt(url=broker.url, **settings), store="s1", topics=topics, client_id=CLIENT)


def reader(session: MqttSession, device: str = "r1", topic: str | None = None) -> ImpinjR700Driver:
    settings = ImpinjR700(id=device, driver="impinj-r700", topic=topic or TOPICS[device])
    return ImpinjR700Driver(settings, session)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what tells nobody about itself."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(session: MqttSession, running: Running) -> AsyncIterator[None]:
    """A session that runs and a broker that has granted its subscriptions."""
    async with running(session.run()), asyncio.timeout(20):
        async with session.subscribe("probe", "probe"):
            pass
        yield


async def retained(broker: Any, topic: str, wanted: Callable[[Any], object]) -> Any:
    """Wait until the retained message of a topic is as wanted."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Queue[Any]()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _u, m: loop.call_soon_threadsafe(arrived.put_nowait, json.loads(m.payload))
    client.connect("127.0.0.1", broker.port)
    client.subscribe(topic, 1)
    client.loop_start()
    try:
        async with asyncio.timeout(10):
            while not wanted(found := await arrived.get()):
                pass
            return found
    finally:
        client.disconnect()
        client.loop_stop()


async def test_messages_become_committed_readings(broker: Any, emitted: Any, running: Running) -> None:
    session = session_to(broker)
    async with connected(session, running), running(reader(session).run(emitted)):
        await emitted.until(lambda rs: rs)
        assert emitted.readings == [DeviceAnswered("r1")]
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(n) for n in range(2000)])
        await emitted.until(lambda rs: len(numbers(rs)) >= 2000)
    assert numbers(emitted.readings) == list(range(2000))


async def test_what_was_not_committed_comes_again_and_what_was_does_not(
    broker: Any, emitted: Any, running: Running
) -> None:
    stuck = asyncio.Event()

    async def never_commits(readings: Sequence[Reading]) -> None:
        if numbers(readings):
            stuck.set()
            await asyncio.Event().wait()

    first = session_to(broker)
    async with connected(first, running):
        async with running(reader(first).run(emitted)):
            await emitted.until(lambda rs: rs)
            await asyncio.to_thread(broker.publish, "rfid/one", [tag(1)])
            await emitted.until(lambda rs: 1 in numbers(rs))
            await asyncio.to_thread(broker.publish, "rfid/one", [])
        async with running(reader(first).run(never_commits)):
            await asyncio.to_thread(broker.publish, "rfid/one", [tag(2), tag(3)])
            await stuck.wait()
    emitted.readings.clear()
    second = session_to(broker)
    async with connected(second, running), running(reader(second).run(emitted)):
        await emitted.until(lambda rs: 3 in numbers(rs))
    assert numbers(emitted.readings) == [2, 3]


KILLED_AGENT = """
    import asyncio, sys
    from edge_agent.config.store import ImpinjR700, Mqtt
    from edge_agent.drivers.impinj_r700 import ImpinjR700Driver
    from edge_agent.drivers.mqtt import MqttSession

    async def emit(readings):
        print(*(getattr(r, "epc", "-")[-4:] for r in readings), flush=True)
        if any(getattr(r, "epc", "").endswith("0005") for r in readings):
            await asyncio.Event().wait()  # killed here: emitted, not committed

    async def main():
        session = MqttSession(Mqtt(url=sys.argv[1]), store="s1", topics={"r1": "rfid/one"}, client_id=sys.argv[2])
        settings = ImpinjR700(id="r1", driver="impinj-r700", topic="rfid/one")
        async with asyncio.TaskGroup() as group:
            group.create_task(session.run())
            group.create_task(ImpinjR700Driver(settings, session).run(emit))

    asyncio.run(main())
"""


async def test_sigkill_between_emit_and_commit_loses_nothing_and_repeats_nothing_committed(
    broker: Any, emitted: Any, running: Running
) -> None:
    program = [sys.executable, "-c", textwrap.dedent(KILLED_AGENT), broker.url, CLIENT]
    agent = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    assert agent.stdout is not None
    read = agent.stdout.readline
    try:
        assert await read() == b"-\n"
        for number in range(1, 5):
            await asyncio.to_thread(broker.publish, "rfid/one", [tag(number)])
            assert await read() == f"{number:04}\n".encode()
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(5)])
        assert await read() == b"0005\n"
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(6)])
    finally:
        agent.kill()
        await agent.wait()
    await retained(broker, "store/s1/edge/state", lambda state: state["status"] == "offline")
    session = session_to(broker)
    async with connected(session, running), running(reader(session).run(emitted)):
        await emitted.until(lambda rs: 6 in numbers(rs))
    assert numbers(emitted.readings) == [5, 6]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_killed_broker_takes_nothing_that_we_hold_and_is_one_loss_for_each_device(
    broker: Any, emitted: Any, running: Running, how: signal.Signals
) -> None:
    session, losses, may_commit = session_to(broker), list[DeviceError](), asyncio.Event()

    async def commit(readings: Sequence[Reading]) -> None:
        if numbers(readings):
            await may_commit.wait()
        await emitted(readings)

    async def kept() -> None:
        while True:
            try:
                await reader(session).run(commit)
            except DeviceError as error:
                losses.append(error)

    async with running(session.run()), running(kept()):
        for life in range(3):
            await emitted.until(lambda rs, lives=life: rs.count(DeviceAnswered("r1")) > lives, 40)
            may_commit.clear()
            mine = range(life * 100, life * 100 + 100)
            await asyncio.to_thread(broker.publish, "rfid/one", [tag(n) for n in mine])
            await until(lambda: len(session._deliveries) == 100)
            await asyncio.to_thread(broker.stop, how)
            may_commit.set()
            await emitted.until(lambda rs, mine=mine: set(mine) <= set(numbers(rs)))
            await until(lambda lives=life: len(losses) > lives)
            await asyncio.to_thread(broker.start)
        await emitted.until(lambda rs: rs.count(DeviceAnswered("r1")) == 4, 40)
    assert [type(loss) for loss in losses] == [LinkLost] * 3, "each outage is told once"


async def test_a_broker_that_is_absent_at_start_is_told_once_and_waited_for(
    broker: Any, emitted: Any, running: Running
) -> None:
    broker.stop()
    session = session_to(broker)
    async with running(session.run()):
        with pytest.raises(LinkLost, match="cannot be reached") as raised:
            await reader(session).run(emitted)
        assert "mqtt.url" in raised.value.hint
        async with running(reader(session).run(emitted)):
            await asyncio.to_thread(broker.start)
            await emitted.until(lambda rs: rs == [DeviceAnswered("r1")], 30)


async def test_what_a_failed_driver_left_goes_to_the_next_one_in_order(
    broker: Any, emitted: Any, running: Running
) -> None:
    async def breaks(readings: Sequence[Reading]) -> None:
        if numbers(readings):
            raise RuntimeError("the disk is full")

    session = session_to(broker)
    async with connected(session, running):
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(n) for n in range(50)])
        with pytest.raises(RuntimeError):
            await reader(session).run(breaks)
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(n) for n in range(50, 60)])
        async with running(reader(session).run(emitted)):
            await emitted.until(lambda rs: 59 in numbers(rs))
    assert numbers(emitted.readings) == list(range(60))


async def test_what_came_while_the_agent_was_away_is_delivered(
    broker: Any, emitted: Any, running: Running
) -> None:
    async with connected(session_to(broker), running):
        pass
    await asyncio.to_thread(broker.publish, "rfid/one", [tag(n) for n in range(1, 4)])
    session = session_to(broker)
    async with running(session.run()), running(reader(session).run(emitted)):
        await emitted.until(lambda rs: 3 in numbers(rs))
    assert numbers(emitted.readings) == [1, 2, 3]


async def test_a_device_that_is_gone_for_good_does_not_stop_the_others(
    broker: Any, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_inbox, "UNATTENDED_S", 0.2)
    monkeypatch.setattr(mqtt_module, "_SWEEP_S", 0.05)
    monkeypatch.setattr(mqtt_connection, "RECEIVE_MAXIMUM", 20)
    session = session_to(broker)
    async with connected(session, running), running(reader(session, "r2").run(emitted)):
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(n) for n in range(30)])
        await asyncio.to_thread(broker.publish, "rfid/two", [tag(n) for n in range(100, 130)])
        await emitted.until(lambda rs: 129 in numbers(rs))
    assert numbers(emitted.readings) == list(range(100, 130))


async def test_two_devices_on_one_topic_both_hear_it(broker: Any, running: Running, emitted: Any) -> None:
    session = session_to(broker, {"r1": "rfid/#", "r2": "rfid/one"})
    async with (
        connected(session, running),
        running(reader(session, "r1", "rfid/#").run(emitted)),
        running(reader(session, "r2", "rfid/one").run(emitted)),
    ):
        await emitted.until(lambda rs: len(rs) == 2)
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(7)])
        await emitted.until(lambda rs: {r.device for r in rs if isinstance(r, TagRead)} == {"r1", "r2"})


async def test_a_retained_message_is_no_fresh_reading(broker: Any, emitted: Any, running: Running) -> None:
    await asyncio.to_thread(broker.publish, "rfid/one", [tag(666)], retain=True)
    session = session_to(broker)
    async with connected(session, running), running(reader(session).run(emitted)):
        await emitted.until(lambda rs: rs)
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(1)])
        await emitted.until(lambda rs: 1 in numbers(rs))
    assert numbers(emitted.readings) == [1]


async def test_unreadable_payloads_degrade_the_device_and_hold_nothing_up(
    broker: Any, emitted: Any, running: Running
) -> None:
    session = session_to(broker)
    async with connected(session, running), running(reader(session).run(emitted)):
        await emitted.until(lambda rs: rs)
        await asyncio.to_thread(broker.publish, "rfid/one", ["not json"] * 3000)
        await emitted.until(lambda rs: isinstance(rs[-1], DeviceDegraded))
        await asyncio.to_thread(broker.publish, "rfid/one", ['{"eventType": "heartbeat"}', tag(9)])
        await emitted.until(lambda rs: 9 in numbers(rs))


async def test_the_state_is_retained_online_while_running_and_offline_after(
    broker: Any, running: Running
) -> None:
    session = session_to(broker)
    async with connected(session, running):
        state = await retained(broker, "store/s1/edge/state", lambda found: found["status"] == "online")
        assert set(state) == {"status", "since"}
    assert await retained(broker, "store/s1/edge/state", lambda _: True) == {"status": "offline"}


async def test_retained_publications_are_made_up_for_after_an_outage(broker: Any, running: Running) -> None:
    broker.stop()
    session = session_to(broker)
    assert not session.publish("store/s1/edge/devices", b'{"r1": "offline"}', retain=True)
    await asyncio.to_thread(broker.start)
    async with connected(session, running):
        await retained(broker, "store/s1/edge/devices", lambda found: found == {"r1": "offline"})
        assert session.publish("store/s1/edge/devices", b'{"r1": "online"}', retain=True)
        await retained(broker, "store/s1/edge/devices", lambda found: found == {"r1": "online"})


async def test_a_subscription_of_an_earlier_configuration_is_ended(
    broker: Any, emitted: Any, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(session_to(broker, {"old": "rfid/old"}), running):
        pass
    session = session_to(broker)
    async with connected(session, running), running(reader(session).run(emitted)):
        await asyncio.to_thread(broker.publish, "rfid/old", [tag(n) for n in range(5000)])
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(1)])
        await emitted.until(lambda rs: 1 in numbers(rs))
    assert [r.getMessage() for r in caplog.records if "rfid/old" in r.getMessage()] == [
        "nobody reads rfid/old any more: subscription ended"
    ]


async def test_a_stuck_commit_bounds_what_is_held(broker: Any, emitted: Any, running: Running) -> None:
    release, held = asyncio.Event(), list[int]()

    async def slow(readings: Sequence[Reading]) -> None:
        if numbers(readings):
            await release.wait()
            held.append(len(session._deliveries))
        await emitted(readings)

    session = session_to(broker)
    async with connected(session, running), running(reader(session).run(slow)):
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(n) for n in range(6000)])
        assert not numbers(emitted.readings)
        release.set()
        await emitted.until(lambda rs: len(numbers(rs)) >= 6000, 20)
    assert numbers(emitted.readings) == list(range(6000))
    assert max(held) <= mqtt_connection.RECEIVE_MAXIMUM


async def test_a_flood_without_acknowledgements_waits_in_the_broker(
    broker: Any, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_module, "HELD_LIMIT", 100_000)
    may_commit, held = asyncio.Event(), list[int]()

    async def commit(readings: Sequence[Reading]) -> None:
        if numbers(readings):
            await may_commit.wait()
            held.append(session._held)
        await emitted(readings)

    session = session_to(broker)
    async with connected(session, running), running(reader(session).run(commit)):
        payload = tag(1) + " " * 10_000
        await asyncio.to_thread(broker.publish, "rfid/one", [payload] * 1000, qos=0)
        await until(lambda: session._held >= 100_000)
        may_commit.set()
        await asyncio.to_thread(broker.publish, "rfid/one", [tag(2)])
        await emitted.until(lambda rs: 2 in numbers(rs), 20)
    assert max(held) < 2 * 100_000


def publish_packet(topic: str, message_id: int, payload: str) -> bytes:
    body = (
        len(topic).to_bytes(2, "big")
        + topic.encode()
        + message_id.to_bytes(2, "big")
        + b"\0"
        + payload.encode()
    )
    return bytes([0x32, (len(body) & 127) | 128, len(body) >> 7]) + body


async def test_acknowledgements_keep_the_order_of_arrival_over_all_devices(
    scripted_broker: Any, emitted: Any, running: Running
) -> None:
    first_may_commit, acks = asyncio.Event(), asyncio.Queue[int]()

    async def slow(readings: Sequence[Reading]) -> None:
        if numbers(readings):
            await first_may_commit.wait()

    packets = [publish_packet("rfid/one", 11, tag(1)), publish_packet("rfid/two", 12, tag(2))]
    async with scripted_broker(packets, acks) as broker:
        session = session_to(broker)
        async with (
            running(session.run()),
            running(reader(session, "r1").run(slow)),
            running(reader(session, "r2").run(emitted)),
        ):
            await emitted.until(lambda rs: 2 in numbers(rs))
            assert acks.empty()
            first_may_commit.set()
            async with asyncio.timeout(5):
                assert [await acks.get(), await acks.get()] == [11, 12]


async def test_a_topic_that_the_broker_withholds_is_denied_by_name(
    scripted_broker: Any, emitted: Any, running: Running
) -> None:
    async with scripted_broker([], asyncio.Queue(), grant=0x87) as broker:
        session = session_to(broker)
        async with running(session.run()):
            with pytest.raises(LinkDenied, match=r"rfid/one: Not authorized") as raised:
                await reader(session).run(emitted)
    assert "acl_file" in raised.value.hint


async def test_a_broker_before_version_5_is_spoken_to_in_its_own(
    scripted_broker: Any, emitted: Any, running: Running
) -> None:
    acks = asyncio.Queue[int]()
    packet = publish_packet("rfid/one", 7, tag(1))
    without_properties = packet.replace(b"\0\x07\0", b"\0\x07", 1)
    shorter = len(packet) - 4
    packets = [bytes([0x32, (shorter & 127) | 128, shorter >> 7]) + without_properties[3:]]
    async with scripted_broker(packets, acks, version=4) as broker:
        session = session_to(broker)
        async with running(session.run()):
            with pytest.raises(LinkLost, match="accepts no MQTT connection"):
                await reader(session).run(emitted)
            async with running(reader(session).run(emitted)):
                await emitted.until(lambda rs: 1 in numbers(rs))
                assert await acks.get() == 7
