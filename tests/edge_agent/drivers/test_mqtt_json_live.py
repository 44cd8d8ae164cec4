"""Mapped devices on a real broker: last wills, duplicates, old queues, and mosquitto killed while messages flow."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest

from device_sims.mqtt_json import HomieShelf
from device_sims.mqtt_link import on_broker
from edge_agent.config.mappings import MqttJson
from edge_agent.config.store import Mqtt
from edge_agent.contract.errors import DeviceError, DeviceSilent, LinkDenied, LinkLost
from edge_agent.drivers import mqtt as mqtt_module
from edge_agent.drivers import mqtt_inbox, mqtt_states, mqtt_topics
from edge_agent.drivers import topic as topic_module
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.mqtt_json import mqtt_json_driver
from edge_agent.readings import DeviceAnswered, DeviceDegraded, GapSeen, Reading, Sale, TagRead, WeightReading
from edge_agent.service import metrics

SHELF = {"topic": "homie/{id}/scales/{channel}/mass", "weight": {"unit": "kg"}}
WILL = {**SHELF, "online": {"topic": "homie/{id}/state"}}


def device(**given: Any) -> MqttJson:
    return MqttJson.model_validate({"id": "shelf01", "driver": "mqtt-json", **given})


def session_of(settings: MqttJson, url: str) -> MqttSession:
    topics, states = mqtt_topics([settings]), mqtt_states([settings])
    return MqttSession(Mqtt(url=url), store="s1", topics=topics, states=states, client_id="shelf-edge-test")


def weights(readings: list[Reading]) -> list[float]:
    return [r.weight_g for r in readings if isinstance(r, WeightReading) and r.weight_g is not None]


def duplicates() -> float:
    return metrics.mqtt_duplicates.labels("shelf01")._value.get()


class Kept:
    """What the supervisor does: run the driver again after each loss."""

    def __init__(self, settings: MqttJson, session: MqttSession) -> None:
        self.losses: list[tuple[float, DeviceError]] = []
        self._settings, self._session = settings, session
        self._news = asyncio.Event()

    async def run(self, emit: Any) -> None:
        while True:
            try:
                await mqtt_json_driver(self._settings, self._session).run(emit)
            except DeviceError as error:
                self.losses.append((time.monotonic(), error))
                self._news.set()

    async def until(self, count: int) -> DeviceError:
        async with asyncio.timeout(10):
            while len(self.losses) < count:
                self._news.clear()
                await self._news.wait()
        return self.losses[count - 1][1]


@asynccontextmanager
async def kept(settings: MqttJson, url: str, emitted: Any, running: Any) -> AsyncIterator[Kept]:
    session = session_of(settings, url)
    one = Kept(settings, session)
    async with running(session.run()), running(one.run(emitted)):
        yield one


async def test_a_retained_last_will_makes_the_device_offline_at_once_and_once(
    broker: Any, emitted: Any, running: Any
) -> None:
    await asyncio.to_thread(broker.publish, "homie/shelf01/state", ["0"], retain=True)
    async with kept(device(**WILL), broker.url, emitted, running) as shelf:
        loss = await shelf.until(1)
        assert isinstance(loss, DeviceSilent)
        assert "homie/shelf01/state" in loss.message
        assert emitted.readings == [], "nothing has proved that it is there"
        await asyncio.to_thread(broker.publish, "homie/shelf01/state", ["1"], retain=True)
        await emitted.until(lambda rs: rs == [DeviceAnswered("shelf01")])
        await asyncio.to_thread(broker.publish, "homie/shelf01/state", ["0"], retain=True)
        await shelf.until(2)
        await asyncio.to_thread(broker.publish, "homie/shelf01/scales/1/mass", ["1.5"])
        await emitted.until(lambda rs: weights(rs) == [1500.0])
        assert len(shelf.losses) == 2


async def test_a_retained_word_that_it_is_there_is_enough(broker: Any, emitted: Any, running: Any) -> None:
    await asyncio.to_thread(broker.publish, "homie/shelf01/state", ["1"], retain=True)
    async with kept(device(**WILL), broker.url, emitted, running):
        await emitted.until(lambda rs: rs == [DeviceAnswered("shelf01")])


async def test_a_device_killed_without_a_word_is_offline_by_its_will(
    broker: Any, emitted: Any, running: Any
) -> None:
    plate = paho.Client(paho.CallbackAPIVersion.VERSION2, "shelf01", reconnect_on_failure=False)
    plate.will_set("homie/shelf01/state", "0", 1, retain=True)
    plate.connect("127.0.0.1", broker.port)
    plate.loop_start()
    try:
        async with kept(device(**WILL), broker.url, emitted, running) as shelf:
            plate.publish("homie/shelf01/scales/1/mass", "0.2", 1).wait_for_publish(10)
            plate.publish("homie/shelf01/scales/1/mass", "0.3", 1).wait_for_publish(10)
            await asyncio.to_thread(broker.publish, "homie/shelf01/state", ["1"], retain=True)
            await emitted.until(lambda rs: DeviceAnswered("shelf01") in rs)
            began = time.monotonic()
            plate.socket().shutdown(2)
            await shelf.until(1)
            assert time.monotonic() - began < 5
    finally:
        plate.loop_stop()


async def test_a_simulated_shelf_comes_weighs_and_goes(broker: Any, emitted: Any, running: Any) -> None:
    shelf = HomieShelf("shelf01", ("aabbccddeeff",))
    settings = device(**WILL, channel_names={"aabbccddeeff": 1})
    async with kept(settings, broker.url, emitted, running) as lost:
        async with on_broker(broker.port, client_id="s", birth=[shelf.birth], will=shelf.will) as link:
            await emitted.until(lambda rs: rs == [DeviceAnswered("shelf01")])
            link.publish(shelf.mass("aabbccddeeff", 352.0))
            await emitted.until(lambda rs: rs[-1] == WeightReading("shelf01", 1, 352.0, None))
            assert lost.losses == []
        assert isinstance(await lost.until(1), DeviceSilent)


async def test_what_a_topic_was_last_is_no_weight(broker: Any, emitted: Any, running: Any) -> None:
    await asyncio.to_thread(broker.publish, "homie/shelf01/scales/1/mass", ["9"], retain=True)
    settings = device(topic="homie/{id}/#", weight={"path": "@", "unit": "kg"}, online=WILL["online"])
    async with kept(settings, broker.url, emitted, running):
        await asyncio.to_thread(broker.publish, "homie/shelf01/state", ["1"], retain=True)
        await emitted.until(lambda rs: DeviceAnswered("shelf01") in rs)
        await asyncio.to_thread(broker.publish, "homie/shelf01/scales/1/mass", ["2"], retain=True)
        await emitted.until(lambda rs: weights(rs) == [2000.0])


async def test_mosquitto_killed_and_restarted_while_weights_flow_loses_none(
    broker: Any, emitted: Any, running: Any
) -> None:
    """The plate publishes absolute weights with QoS 1 and sends again what its broker did not confirm."""
    broker.stop()
    broker.extra = "autosave_interval 1\nautosave_on_changes true"
    await asyncio.to_thread(broker.start)
    settings, total = device(**SHELF), 600
    plate = paho.Client(
        paho.CallbackAPIVersion.VERSION2, "plate", clean_session=False, protocol=paho.MQTTv311
    )
    plate.reconnect_delay_set(1, 1)
    plate.max_inflight_messages_set(1)
    plate.connect("127.0.0.1", broker.port)
    plate.loop_start()
    try:
        async with kept(settings, broker.url, emitted, running) as shelf:
            await emitted.until(lambda rs: rs)
            for number in range(total):
                plate.publish("homie/shelf01/scales/1/mass", f"{number / 1000:.3f}", 1)
            await emitted.until(lambda rs: len(weights(rs)) >= 50, 30)
            killed = time.monotonic()
            await asyncio.to_thread(broker.stop, signal.SIGKILL)
            loss = await shelf.until(1)
            assert isinstance(loss, LinkLost)
            assert shelf.losses[0][0] - killed < 5
            before = emitted.readings.count(DeviceAnswered("shelf01"))
            await asyncio.to_thread(broker.start)
            await emitted.until(lambda rs: rs.count(DeviceAnswered("shelf01")) > before, 30)
            await emitted.until(lambda rs: set(weights(rs)) >= set(range(total)), 60)
            assert len(shelf.losses) == 1
    finally:
        plate.disconnect()
        plate.loop_stop()


def packet(number: int, payload: str, *, dup: bool = False, topic: str = "rfid/1") -> bytes:
    body = (
        len(topic).to_bytes(2, "big") + topic.encode() + number.to_bytes(2, "big") + b"\0" + payload.encode()
    )
    assert len(body) < 128
    return bytes([0x32 | dup << 3, len(body)]) + body


async def test_what_the_broker_sends_again_is_acknowledged_and_not_taken_twice(
    scripted_broker: Any, emitted: Any, running: Any
) -> None:
    first_acks, acks, packets = (
        asyncio.Queue[int](),
        asyncio.Queue[int](),
        [packet(1, "0.1"), packet(2, "0.2")],
    )
    settings = device(**{**SHELF, "topic": "rfid/{channel}"})
    async with scripted_broker(packets, first_acks) as broker:
        session, before = session_of(settings, broker.url), duplicates()
        async with running(session.run()), running(Kept(settings, session).run(emitted)):
            await emitted.until(lambda rs: weights(rs) == [100.0, 200.0])
            assert [await first_acks.get(), await first_acks.get()] == [1, 2]
            # the acknowledgement of 1 arrived, that of 2 was lost; 3 never reached us and looks like 1
            again = [packet(2, "0.2", dup=True), packet(3, "0.1", dup=True), packet(4, "0.2")]
            async with scripted_broker(again, acks, resumed=True) as second:
                session._settings = Mqtt(url=second.url)
                session._intake.close()  # type: ignore[union-attr]
                session._intake._end("cut")  # type: ignore[union-attr]
                await emitted.until(lambda rs: len(weights(rs)) >= 4, 20)
                assert [await acks.get() for _ in range(3)] == [2, 3, 4]
    assert weights(emitted.readings) == [100.0, 200.0, 100.0, 200.0]
    assert duplicates() - before == 1


async def test_what_comes_again_while_it_waits_here_is_acknowledged_when_that_is_committed(
    scripted_broker: Any, emitted: Any, running: Any
) -> None:
    may_commit, acks, packets = asyncio.Event(), asyncio.Queue[int](), [packet(1, "0.1")]
    again = [packet(1, "0.1", dup=True), packet(2, "0.2")]
    settings, started = device(**{**SHELF, "topic": "rfid/{channel}"}), asyncio.Event()

    async def slow(readings: list[Reading]) -> None:
        if weights(readings):
            started.set()
            await may_commit.wait()
        await emitted(readings)

    async with (
        scripted_broker(packets, asyncio.Queue()) as broker,
        scripted_broker(again, acks, resumed=True) as second,
    ):
        session = session_of(settings, broker.url)
        async with running(session.run()), running(Kept(settings, session).run(slow)):
            await started.wait()
            session._settings = Mqtt(url=second.url)
            session._intake.close()  # type: ignore[union-attr]
            session._intake._end("cut")  # type: ignore[union-attr]
            async with asyncio.timeout(10):
                while len(session._deliveries) < 2:  # noqa: ASYNC110  # there is no event to wait for
                    await asyncio.sleep(0.01)
            assert acks.empty()
            may_commit.set()
            assert [await acks.get(), await acks.get()] == [1, 2]
            await emitted.until(lambda rs: weights(rs) == [100.0, 200.0])


async def test_a_broker_that_lost_the_session_numbers_anew_and_loses_nothing_that_looks_the_same(
    scripted_broker: Any, emitted: Any, running: Any
) -> None:
    first_acks, acks, settings = asyncio.Queue[int](), asyncio.Queue[int](), device(topic="rfid/1", weight={})
    async with (
        scripted_broker([packet(1, "5"), packet(2, "6")], first_acks) as broker,
        scripted_broker([], asyncio.Queue()) as anew,
        scripted_broker([packet(1, "5", dup=True)], acks, resumed=True) as resumed,
    ):
        session = session_of(settings, broker.url)
        async with running(session.run()), running(Kept(settings, session).run(emitted)):
            assert [await first_acks.get(), await first_acks.get()] == [1, 2]
            for following in (anew, resumed):  # 1 is sent between the two, and lost with the connection
                before, session._settings = session._connection, Mqtt(url=following.url)
                session._intake.close()  # type: ignore[union-attr]
                session._intake._end("cut")  # type: ignore[union-attr]
                async with asyncio.timeout(20):
                    while session._connection in (before, None):  # noqa: ASYNC110  # nothing tells of it
                        await asyncio.sleep(0.01)
            await emitted.until(lambda rs: weights(rs) == [5.0, 6.0, 5.0])
            assert await acks.get() == 1


def read_at(seconds_ago: float, number: int) -> str:
    return json.dumps({"epc": f"{number:024x}", "ts": time.time() - seconds_ago})


async def test_tag_reads_that_waited_for_hours_are_no_arrivals_and_young_ones_are(
    broker: Any, emitted: Any, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = device(topic="gate", tag={}, time="ts")
    async with running(session_of(settings, broker.url).run()):
        await _state(broker, "online")
    sent = [read_at(7200, 1), read_at(20, 2), read_at(-600, 3), json.dumps({"epc": f"{4:024x}"})]
    await asyncio.to_thread(broker.publish, "gate", sent)
    session = session_of(settings, broker.url)
    session.was_away(7300)
    async with running(session.run()), running(Kept(settings, session).run(emitted)):
        await emitted.until(lambda rs: 4 in tags(rs))
        monkeypatch.setattr(session, "_late_until_s", 0.0)
        await asyncio.to_thread(broker.publish, "gate", [read_at(7200, 5)])
        await emitted.until(lambda rs: 5 in tags(rs))
    assert tags(emitted.readings) == [2, 3, 4, 5], "a live reader with a wrong clock is believed"


async def test_a_sale_that_waited_for_hours_counts_and_a_cameras_verdict_does_not(
    broker: Any, emitted: Any, running: Any
) -> None:
    settings = device(topic="shop", sale={}, gap={}, time="ts")
    async with running(session_of(settings, broker.url).run()):
        await _state(broker, "online")
    line = {"receipt": "r", "gtin": "06901234567892"}
    sent = [{**line, "line": n, "facing": f"A{n}", "fill": 0, "ts": time.time() - ago_s} for n, ago_s in ((1, 7200), (2, 20))]  # fmt: skip
    await asyncio.to_thread(broker.publish, "shop", [json.dumps(one) for one in sent])
    session = session_of(settings, broker.url)
    session.was_away(7300)
    async with running(session.run()), running(Kept(settings, session).run(emitted)):
        await emitted.until(lambda rs: any(isinstance(one, GapSeen) for one in rs))
    assert [one.line for one in emitted.readings if isinstance(one, Sale)] == ["1", "2"]
    assert [one.facing for one in emitted.readings if isinstance(one, GapSeen)] == ["A2"]


async def test_a_reader_whose_clock_is_an_hour_slow_is_heard_soon_after_a_long_absence(
    broker: Any, emitted: Any, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_module, "SLOW_CLOCK_AFTER_S", 0.3)
    session = session_of(settings := device(topic="gate", tag={}, time="ts"), broker.url)
    session.was_away(7300)
    async with running(session.run()), running(Kept(settings, session).run(emitted)):
        async with asyncio.timeout(10):
            while not tags(emitted.readings):
                await asyncio.to_thread(broker.publish, "gate", [read_at(3600, 1)])


async def test_after_a_short_absence_everything_counts(broker: Any, emitted: Any, running: Any) -> None:
    settings = device(topic="gate", tag={}, time="ts")
    async with running(session_of(settings, broker.url).run()):
        await _state(broker, "online")
    await asyncio.to_thread(broker.publish, "gate", [read_at(7200, 1)])
    session = session_of(settings, broker.url)
    session.was_away(mqtt_module.LONG_AWAY_S / 2)
    async with running(session.run()), running(Kept(settings, session).run(emitted)):
        await emitted.until(lambda rs: tags(rs) == [1])


def tags(readings: list[Reading]) -> list[int]:
    return [int(r.epc, 16) for r in readings if isinstance(r, TagRead)]


async def _state(broker: Any, wanted: str) -> None:
    """Wait until the session has told the broker of itself, which it does behind its subscriptions."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Queue[str]()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _u, m: loop.call_soon_threadsafe(
        arrived.put_nowait, json.loads(m.payload)["status"]
    )
    client.connect("127.0.0.1", broker.port)
    client.subscribe("store/s1/edge/state", 1)
    client.loop_start()
    try:
        async with asyncio.timeout(10):
            while await arrived.get() != wanted:
                pass
    finally:
        client.disconnect()
        client.loop_stop()


async def test_unreadable_payloads_degrade_only_when_nothing_else_is_readable(
    broker: Any, emitted: Any, running: Any
) -> None:
    async with kept(device(**SHELF), broker.url, emitted, running):
        await emitted.until(lambda rs: rs)
        await asyncio.to_thread(broker.publish, "homie/shelf01/scales/1/mass", ["broken"])
        await emitted.until(lambda rs: isinstance(rs[-1], DeviceDegraded))
        assert emitted.readings[-1].reason.endswith("is unreadable: weight is no number: 'broken'")
        await asyncio.to_thread(broker.publish, "homie/shelf01/scales/1/mass", ["0.1"])
        await emitted.until(lambda rs: weights(rs) == [100.0])


async def test_broken_words_between_good_ones_do_not_make_the_device_flap(
    broker: Any, emitted: Any, running: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept(device(**SHELF), broker.url, emitted, running):
        await emitted.until(lambda rs: rs)
        for number in range(1, 11):
            for payload in (str(number), "broken"):
                await asyncio.to_thread(broker.publish, "homie/shelf01/scales/1/mass", [payload])
            await emitted.until(lambda rs, seen=number: len(weights(rs)) == seen)
    assert not [reading for reading in emitted.readings if isinstance(reading, DeviceDegraded)]
    assert sum("unreadable" in record.message for record in caplog.records) == 1


async def test_a_device_that_is_denied_again_and_again_holds_up_no_acknowledgement(
    scripted_broker: Any, emitted: Any, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_inbox, "UNATTENDED_S", 0.5)
    monkeypatch.setattr(mqtt_module, "_SWEEP_S", 0.05)
    settings, acks = device(topic="rfid/1", weight={}), asyncio.Queue[int]()
    async with scripted_broker([packet(1, "5")], acks, grant=0x87) as broker:
        session = session_of(settings, broker.url)

        async def tries() -> None:
            while True:
                with pytest.raises(LinkDenied, match="refuses topic"):
                    await mqtt_json_driver(settings, session).run(emitted)
                await asyncio.sleep(0.1)

        async with running(session.run()), running(tries()), asyncio.timeout(10):
            assert await acks.get() == 1


async def test_a_state_topic_that_the_broker_withholds_is_denied_by_name(
    scripted_broker: Any, emitted: Any, running: Callable[..., Any]
) -> None:
    settings = device(topic="rfid/one", weight={}, online={"topic": "rfid/state"})
    async with scripted_broker([], asyncio.Queue(), grant=0x87) as broker:
        session = session_of(settings, broker.url)
        async with running(session.run()):
            with pytest.raises(LinkDenied, match=r"rfid/(one|state): Not authorized"):
                await mqtt_json_driver(settings, session).run(emitted)
