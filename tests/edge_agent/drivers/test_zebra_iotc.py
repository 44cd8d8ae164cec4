"""IoT Connector payloads: the published vectors, the shapes, event numbers, and what is no event."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config.devices import ZebraIotc
from edge_agent.config.store import Mqtt
from edge_agent.contract.times import parse_rfc3339, rfc3339
from edge_agent.drivers import Resources, make_driver
from edge_agent.drivers import topic as topic_module
from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.event_numbers import EventNumbers
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.topic import Understood
from edge_agent.drivers.zebra_iotc import ZebraIotcEvents
from edge_agent.readings import DeviceAnswered, DeviceDegraded, TagRead
from edge_agent.service.metrics import REGISTRY

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    if vector["protocol"] == "zebra-iotc"
]
EPC = "e2003411b802011383257c3d"
Running = Callable[..., AbstractAsyncContextManager[Any]]


def settings(device: str = "z1", **more: Any) -> ZebraIotc:
    return ZebraIotc(id=device, driver="zebra-iotc", topic=f"rfid/{device}", **more)


def event(number: int | None = None, at: str | None = "2026-11-22T10:00:00.000+0000", **tag: Any) -> bytes:
    data = {"idHex": EPC.upper(), "format": "epc", **({} if number is None else {"eventNum": number}), **tag}
    return json.dumps({"data": data, **({} if at is None else {"timestamp": at}), "type": "CUSTOM"}).encode()


def understood(payload: bytes | str, events: ZebraIotcEvents | None = None) -> Understood:
    raw = payload.encode() if isinstance(payload, str) else payload
    return (events or ZebraIotcEvents(settings())).understand(raw, "rfid/z1")


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_every_vector_decodes(vector: dict[str, Any]) -> None:
    sent, expected = vector["in"]["json"], vector["out"]
    shown = list(decode_stream("zebra-iotc", [json.dumps(sent).encode() + b"\n"]))
    if "epc" not in expected:
        assert shown == []
        return
    (tag,) = shown
    assert isinstance(tag, dict)
    assert tag["epc"] == expected["epc"]
    assert tag["rssi_dbm"] == expected.get("rssi_dbm")
    assert tag["antenna"] == expected.get("antenna")
    time = sent.get("timestamp")
    assert tag["occurred_at"] == (rfc3339(parse_rfc3339(time)) if time else None)


def test_object_array_lines_and_handheld_batches_are_the_same_reads() -> None:
    events = [vector["in"]["json"] for vector in VECTORS if "epc" in vector["out"]]
    single = [read for one in events for read in understood(json.dumps(one)).readings]
    assert len(single) == 3
    for payload in (json.dumps(events), "\n".join(map(json.dumps, events)), json.dumps(events, indent=1)):
        assert understood(payload).readings == single
    batch = {
        "data": {"tagData": [{"EPC": EPC, "eventNum": 1}, {"EPCid": "30340000", "eventNum": 2}]},
        "type": "FAST",
    }
    assert [read.epc for read in understood(json.dumps(batch)).readings if isinstance(read, TagRead)] == [
        EPC,
        "30340000",
    ]


def test_missing_fields_are_none_never_zero() -> None:
    (read,) = understood(json.dumps({"data": {"idHex": EPC}, "type": "SIMPLE"})).readings
    assert read == TagRead("z1", None, EPC, None, None)


@pytest.mark.parametrize(
    ("said", "khz"),
    [(866.9, 866_900), ("866.9", 866_900), (915, 915_000), ("n/a", None), (None, None), ([1], None)],
)
def test_the_hop_channel_is_known_where_it_is_told_and_never_costs_a_read(said: Any, khz: int | None) -> None:
    (read,) = understood(event(channel=said)).readings
    assert isinstance(read, TagRead)
    assert read.rf_channel == khz


def test_numbers_written_as_texts_are_numbers() -> None:
    (read,) = understood(event(peakRssi="-47", antenna="2", eventNum="7")).readings
    assert read == TagRead("z1", 2, EPC, -47.0, datetime(2026, 11, 22, 10, 0, 0, 0, UTC))


@pytest.mark.parametrize(
    "payload",
    [
        '{"type": "HEARTBEAT", "status": "ok"}',
        '{"type": "heartbeat", "data": {"radio_control": {"cpu": 1}}, "eventNum": 3, "component": "RC"}',
        '{"type": "gpi", "data": {"pin": 1, "state": "HIGH"}}',
        '{"type": "FAST", "data": {"barcodeData": []}}',
        '{"type": "health", "data": {"antenna": {"1": "connected"}}}',
    ],
)
def test_other_events_are_no_faults(payload: str) -> None:
    found = understood(payload)
    assert (found.readings, found.others, found.faults) == ([], 1, [])


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        "[1]",
        '"text"',
        '{"type": "SIMPLE", "data": {}}',
        '{"data": {"idHex": "303"}}',
        '{"data": {"idHex": "zz"}}',
        '{"data": {"idHex": "%s"}}' % ("00" * 63),
        '{"data": {"idHex": 12}}',
        '{"type": "FAST", "data": {"tagData": 3}}',
        "{",
        "offline",
    ],
)
def test_what_is_no_event_is_a_fault(payload: str) -> None:
    found = understood(payload)
    assert (found.readings, len(found.faults)) == ([], 1)


def test_one_bad_event_costs_only_itself() -> None:
    found = understood(b"[" + event(1) + b',{"data":{"idHex":"zz"}},' + event(2) + b"]")
    assert (len(found.readings), len(found.faults)) == (2, 1)


def fed(numbers: Iterable[tuple[int, str]]) -> list[int | None]:
    counter = EventNumbers()
    return [counter.missed_before(number, content) for number, content in numbers]


@pytest.mark.parametrize(
    ("numbers", "missed"),
    [
        ([(5, "a"), (6, "b"), (7, "a")], [0, 0, 0]),
        ([(5, "a"), (9, "b"), (10, "c")], [0, 3, 0]),
        ([(5, "a"), (6, "b"), (5, "a"), (6, "b"), (7, "c")], [0, 0, None, None, 0]),
        ([(900, "a"), (1, "b"), (2, "c")], [0, 0, 0]),
        ([(1, "a"), (2, "b"), (1, "c"), (2, "b")], [0, 0, 0, 0]),
        ([(1, "a"), (1, "b"), (1, "a"), (2, "c")], [0, 0, None, 0]),
    ],
    ids=["in order", "a gap", "a repetition", "a restart", "a restart that says one thing anew", "a batch"],
)
def test_event_numbers(numbers: list[tuple[int, str]], missed: list[int | None]) -> None:
    assert fed(numbers) == missed


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("ab"))))
def test_a_message_is_dropped_only_after_its_twin(numbers: list[tuple[int, str]]) -> None:
    for index, missed in enumerate(fed(numbers)):
        if missed is None:
            assert numbers[index] in numbers[:index]


@given(st.lists(st.integers(1, 1000), unique=True, min_size=1).map(sorted))
def test_in_one_life_of_a_reader_every_missing_number_is_counted(arrived: list[int]) -> None:
    counted = sum(missed or 0 for missed in fed((number, str(number)) for number in arrived))
    assert counted == arrived[-1] - arrived[0] + 1 - len(arrived)


def missed_metric(device: str) -> float:
    return REGISTRY.get_sample_value("edge_rfid_events_missed_total", {"device": device}) or 0.0


def test_gaps_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    events = ZebraIotcEvents(settings("gap"))
    with caplog.at_level(logging.WARNING):
        for number in (1, 4, 9):
            assert understood(event(number), events).readings
    assert missed_metric("gap") == 6
    assert len(caplog.records) == 1


def test_a_repeated_event_is_dropped_and_one_without_a_time_never() -> None:
    events = ZebraIotcEvents(settings())
    assert [len(understood(event(3), events).readings) for _ in range(2)] == [1, 0]
    assert [len(understood(event(4, at=None), events).readings) for _ in range(2)] == [1, 1]


def test_each_topic_of_a_wildcard_has_its_own_numbers() -> None:
    events = ZebraIotcEvents(settings("wild"))
    for number in (1, 2):
        for topic in ("rfid/a", "rfid/b"):
            assert len(events.understand(event(number), topic).readings) == 1
    assert missed_metric("wild") == 0


def test_reads_without_an_antenna_are_told_where_two_are_configured(caplog: pytest.LogCaptureFixture) -> None:
    for antennas, told in (({"1": "A", "2": "B"}, 1), ({"1": "A"}, 0)):
        caplog.clear()
        events = ZebraIotcEvents(settings(antennas=antennas))
        understood(event(1), events)
        understood(event(2), events)
        assert len(caplog.records) == told


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    assert understood(payload).readings == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["data", "idHex", "tagData", "type", "timestamp", "eventNum"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_raises(value: Any) -> None:
    understood(json.dumps(value))


async def test_through_a_broker_gaps_of_an_outage_count_and_what_was_not_committed_is_read_again(
    broker: Any, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_module, "UNREADABLE_AFTER_S", 0.0)
    device = settings("live")
    session = MqttSession(Mqtt(url=broker.url), store="s1", topics={"live": "rfid/live"})
    resources = Resources(mqtt=session)
    async with running(session.run()):
        async with running(make_driver(device, resources).run(emitted)):
            await emitted.until(lambda readings: readings == [DeviceAnswered("live")])
            broker.publish("rfid/live", [event(1), event(1), b'{"type": "HEARTBEAT"}', event(2)])
            await emitted.until(lambda readings: sum(isinstance(r, TagRead) for r in readings) == 2)
            broker.publish("rfid/live", ["nonsense"])
            await emitted.until(lambda readings: isinstance(readings[-1], DeviceDegraded))
        async with running(make_driver(device, resources).run(emitted)):
            broker.publish("rfid/live", [event(7), event(2)])
            await emitted.until(lambda readings: sum(isinstance(r, TagRead) for r in readings) == 4)
    assert missed_metric("live") == 4
