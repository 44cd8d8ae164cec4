"""R700 payloads: the published vectors, the three shapes, and everything that is not an event."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config.devices import ImpinjR700
from edge_agent.contract.times import parse_rfc3339
from edge_agent.drivers.impinj_r700 import decode_payload, understand_r700
from edge_agent.readings import DeviceDegraded, TagRead

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    if vector["protocol"] == "impinj-iot" and "json" in vector["in"]
]
TAGS = [vector for vector in VECTORS if "epc" in vector["out"]]


def event(**tag: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-22T10:00:00Z", "eventType": "tagInventory", "tagInventoryEvent": tag}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_every_vector_decodes(vector: dict[str, Any]) -> None:
    sent, expected = vector["in"]["json"], vector["out"]
    decoded = decode_payload("r1", json.dumps(sent).encode())
    assert decoded.faults == []
    if "epc" not in expected:
        assert (decoded.readings, decoded.others) == ([], 1)
        return
    moment = parse_rfc3339(sent["timestamp"])
    assert decoded.readings == [
        TagRead(
            "r1",
            expected["antenna"],
            expected["epc"],
            expected["rssi_dbm"],
            moment,
            expected.get("freq_khz"),
        )
    ]


def test_object_array_and_lines_are_the_same_reads() -> None:
    events = [vector["in"]["json"] for vector in TAGS]
    single = [read for one in events for read in decode_payload("r1", json.dumps(one).encode()).readings]
    array = decode_payload("r1", json.dumps(events, indent=2).encode())
    lines = decode_payload("r1", "\r\n".join(map(json.dumps, events)).encode() + b"\n\n")
    pretty = [
        read for one in events for read in decode_payload("r1", json.dumps(one, indent=2).encode()).readings
    ]
    assert single == array.readings == lines.readings == pretty
    assert array.faults == lines.faults == []


def test_one_bad_event_costs_only_itself() -> None:
    good, bad = event(epc="ikUCJA=="), event(epc="ikUCJA==", antennaPort="first")
    for payload in (
        json.dumps([good, bad, good]),
        "\n".join([json.dumps(good), '{"cut', json.dumps(good)]),
    ):
        decoded = decode_payload("r1", payload.encode())
        assert len(decoded.readings) == 2
        assert len(decoded.faults) == 1


def test_nanoseconds_are_cut_to_microseconds() -> None:
    (read,) = decode_payload(
        "r1",
        json.dumps({**event(epc="ikUCJA=="), "timestamp": "2026-02-26T17:13:37.432087177Z"}).encode(),
    ).readings
    assert read.occurred_at == datetime(2026, 2, 26, 17, 13, 37, 432087, UTC)


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00"])
def test_a_read_without_a_usable_time_still_counts(timestamp: str | None) -> None:
    (read,) = decode_payload(
        "r1", json.dumps({**event(epc="ikUCJA=="), "timestamp": timestamp}).encode()
    ).readings
    assert read.occurred_at is None


def test_missing_fields_are_none_never_zero() -> None:
    (read,) = decode_payload("r1", json.dumps(event(epcHex="3034257BF400B7800004CB2F")).encode()).readings
    assert (read.epc, read.antenna, read.rssi_dbm) == ("3034257bf400b7800004cb2f", None, None)


@pytest.mark.parametrize(
    "tag",
    [{}, {"epc": ""}, {"epc": "%%%"}, {"epcHex": "30342"}, {"epcHex": "xyz!"}, {"epcHex": "00" * 63}],
)
def test_a_tag_without_an_epc_is_a_fault(tag: dict[str, Any]) -> None:
    decoded = decode_payload("r1", json.dumps(event(**tag)).encode())
    assert decoded.readings == []
    assert len(decoded.faults) == 1


@given(st.binary(min_size=1, max_size=62))
def test_every_epc_survives_base64url_and_hex(epc: bytes) -> None:
    for tag in (
        {"epc": base64.urlsafe_b64encode(epc).decode()},
        {"epc": base64.urlsafe_b64encode(epc).decode().rstrip("=")},
        {"epcHex": epc.hex().upper()},
    ):
        (read,) = decode_payload("r1", json.dumps(event(**tag)).encode()).readings
        assert read.epc == epc.hex()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*event(), "epc", "epcHex"]), inner),
    max_leaves=12,
)


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    decoded = decode_payload("r1", payload)
    assert decoded.readings == []


@given(JSON)
def test_no_json_raises(value: Any) -> None:
    decode_payload("r1", json.dumps(value).encode())


@pytest.mark.parametrize(
    "payload", [b"", b"[", b"[" * 100_000, b'{"a":' * 100_000, b'"\xff"', b"\xef\xbb\xbf{}"]
)
def test_hostile_payloads_are_faults(payload: bytes) -> None:
    decoded = decode_payload("r1", payload)
    assert decoded.readings == []
    assert decoded.faults
    assert all(len(fault) < 500 for fault in decoded.faults)


def test_the_readers_own_texts_are_no_faults() -> None:
    settings = ImpinjR700(
        id="r1", driver="impinj-r700", topic="r/#", will_message="reader lost", connect_message="hello"
    )
    understand = understand_r700(settings)
    (degraded,) = understand(b" reader lost\n", "r/state").readings
    assert isinstance(degraded, DeviceDegraded)
    assert understand(b"hello", "r/state").others == 1
    assert understand(b"something else", "r/state").faults


def test_smart_reader_reads_are_hexadecimal_with_microseconds() -> None:
    payload = {
        "readerName": "door",
        "tag_reads": [
            {
                "epc": "E28011606000020A6681F23F",
                "antennaPort": 2,
                "peakRssi": "-61.5",
                "firstSeenTimestamp": 1640995200000001,
            },
            {"epc": "30340000", "isHeartBeat": False, "firstSeenTimestamp": "1640995200000001"},
            {"epc": "*****", "isHeartBeat": True},
            {"antennaPort": 1},
        ],
    }
    understood = decode_payload("r1", json.dumps(payload).encode())
    at = datetime(2022, 1, 1, 0, 0, 0, 1, UTC)
    assert understood.readings == [
        TagRead("r1", 2, "e28011606000020a6681f23f", -61.5, at),
        TagRead("r1", None, "30340000", None, at),
    ]
    assert len(understood.faults) == 1
    heartbeat = decode_payload("r1", b'{"tag_reads": [{"epc": "*****", "isHeartBeat": true}]}')
    assert (heartbeat.readings, heartbeat.others, heartbeat.faults) == ([], 1, [])
