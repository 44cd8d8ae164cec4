"""What a line does to a device's answers, and what MQTT does to its messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sims import m100, modbus_scale, r2000, uhfreader18
from device_sims.mqtt_link import Publication
from device_sims.outlet import OUTLET_FAULTS, Outlet
from device_sims.reader_field import TagInView
from device_sims.wire import WIRE_FAULTS, SharedLine, Wire
from edge_agent.drivers.decode import decode_stream

ANSWER = b"S S      100.0 g\r\n"


class Device:
    """Answers everything with the same line."""

    def power_on(self) -> bytes:
        return b""

    def feed(self, received: bytes) -> bytes:
        return ANSWER if received else b""

    def tick(self) -> bytes:
        return b""


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wire(clock: Clock) -> Wire:
    return Wire(Device(), clock=clock, seed="1", spoiled=lambda said: b"x" + said[1:])


def test_a_sound_line_carries_every_byte(wire: Wire) -> None:
    assert [wire.feed(b"?"), wire.tick()] == [ANSWER, b""]


def test_half_a_frame_then_silence_until_it_is_healed_or_switched_on_again(wire: Wire) -> None:
    wire.begin("half-frame")
    assert [wire.feed(b"?") for _ in range(3)] == [ANSWER[:9], b"", b""]
    wire.power_on()
    assert wire.feed(b"?") == ANSWER[:9]
    wire.end("half-frame")
    assert wire.feed(b"?") == ANSWER


def test_a_late_answer_comes_after_its_time_and_a_dripping_one_byte_by_byte(wire: Wire, clock: Clock) -> None:
    wire.begin("late-reply", 1.5)
    assert wire.feed(b"?") == b""
    clock.now_s += 1.4
    assert wire.tick() == b""
    clock.now_s += 0.2
    assert wire.tick() == ANSWER
    wire.end("late-reply")
    wire.begin("slow-drip", 0.01)
    came = wire.feed(b"?")
    while len(came) < len(ANSWER):
        clock.now_s += 0.01
        (byte,) = wire.tick()
        came += bytes([byte])
    assert came == ANSWER


def test_what_is_still_under_way_arrives_after_the_fault(wire: Wire, clock: Clock) -> None:
    wire.begin("late-reply", 1.0)
    assert wire.feed(b"?") == b""
    wire.end("late-reply")
    clock.now_s += 1.0
    assert wire.tick() == ANSWER


def test_garbage_is_before_every_answer_and_inside_every_second(wire: Wire) -> None:
    wire.begin("garbage")
    answers = [wire.feed(b"?") for _ in range(20)]
    assert all(answer.endswith(ANSWER) and answer != ANSWER for answer in answers[::2])
    assert sum(ANSWER in answer for answer in answers[1::2]) <= 2


def test_drop_loses_its_share_duplicate_says_twice_mute_nothing(wire: Wire) -> None:
    wire.begin("drop", 0.3)
    assert 200 < sum(bool(wire.feed(b"?")) for _ in range(400)) < 360
    wire.end("drop")
    wire.begin("duplicate")
    assert wire.feed(b"?") == ANSWER * 2
    wire.begin("mute")
    assert wire.feed(b"?") == b""


def test_a_line_without_a_check_cannot_have_a_wrong_one(clock: Clock) -> None:
    with pytest.raises(ValueError, match="cannot befall"):
        Wire(Device(), clock=clock).begin("wrong-checksum")
    with pytest.raises(ValueError, match="cannot befall"):
        Wire(Device(), clock=clock).begin("reorder")


TAGS = [TagInView(bytes((0x30, n)) * 6, -50 - n) for n in range(5)]
READERS: dict[str, tuple[Any, Any, bytes]] = {
    "r2000": (r2000.R2000Reader, r2000.spoiled, bytes.fromhex("a004ff8901d3")),
    "uhfreader18": (uhfreader18.UhfReader, uhfreader18.spoiled, uhfreader18.block(255, 1, b"")),
    "m100": (m100.M100Module, m100.spoiled, bytes.fromhex("bb00220000227e")),
}


@pytest.mark.parametrize("driver", READERS)
def test_every_frame_of_a_reader_with_wrong_checks_is_refused(driver: str, clock: Clock) -> None:
    make, spoiled, question = READERS[driver]
    wire = Wire(make(lambda _: TAGS), clock=clock, spoiled=spoiled)
    sound = [item for item in decode_stream(driver, [wire.feed(question)]) if isinstance(item, dict)]
    assert len(sound) == len(TAGS)
    wire.begin("wrong-checksum")
    spoilt = wire.feed(question)
    assert [item for item in decode_stream(driver, [spoilt]) if isinstance(item, dict)] == []


def test_a_modbus_answer_with_a_wrong_check_differs_in_it_alone() -> None:
    assert modbus_scale.spoiled(b"\x01\x03\x02\x00\x07\xf9\x86") == b"\x01\x03\x02\x00\x07\xf9\x79"


def test_on_a_shared_line_all_hear_and_whoever_is_mute_is_mute_alone(clock: Clock) -> None:
    first, second = Wire(Device(), clock=clock), Wire(Device(), clock=clock)
    line = SharedLine([first, second])
    assert line.feed(b"?") == ANSWER * 2
    first.begin("mute")
    assert line.feed(b"?") == ANSWER


@given(st.sampled_from(sorted(WIRE_FAULTS)), st.lists(st.binary(min_size=1, max_size=4), max_size=20))
def test_after_any_fault_a_line_is_as_sound_as_before(fault: str, questions: list[bytes]) -> None:
    clock = Clock()
    wire = Wire(Device(), clock=clock, spoiled=lambda said: said[:-1] + b"!")
    wire.begin(fault, 0.3)
    for question in questions:
        wire.feed(question)
    wire.end(fault)
    clock.now_s += 100.0
    wire.tick()
    assert [wire.feed(b"?"), wire.tick()] == [ANSWER, b""]


# --- MQTT ----------------------------------------------------------------------------------------


def said(*numbers: int) -> list[Publication]:
    return [Publication("t", str(number)) for number in numbers]


def left(outlet: Outlet, *numbers: int, now_s: float = 0.0) -> list[bytes]:
    return [one.body for one in outlet.passed(said(*numbers), now_s)]


def test_every_two_messages_change_places_and_the_last_is_not_lost() -> None:
    outlet = Outlet()
    outlet.begin("reorder")
    assert left(outlet, 1, 2, 3) == [b"2", b"1"]
    outlet.end("reorder")
    assert left(outlet, 4) == [b"4", b"3"]


def test_late_messages_come_in_order_later() -> None:
    outlet = Outlet()
    outlet.begin("late-reply", 2.0)
    assert left(outlet, 1, 2) == []
    outlet.end("late-reply")
    assert left(outlet, 3, now_s=2.0) == [b"3", b"1", b"2"]


def test_half_a_message_then_silence_and_a_stale_one_is_retained() -> None:
    outlet = Outlet()
    outlet.begin("half-frame")
    assert left(outlet, 1234, 5678) == [b"12"]
    outlet.end("half-frame")
    outlet.begin("stale-retained")
    first, *rest = outlet.passed(said(1, 2), 0.0)
    assert (first.retained, rest) == (True, [])
    outlet.end("stale-retained")
    assert left(outlet, 3) == [b"3"]


@pytest.mark.parametrize("fault", sorted(OUTLET_FAULTS))
def test_after_any_fault_messages_leave_as_before(fault: str) -> None:
    outlet = Outlet(seed="1")
    outlet.begin(fault, 0.5)
    for number in range(7):
        left(outlet, number)
    outlet.end(fault)
    left(outlet, now_s=10.0)
    assert left(outlet, 8, 9, now_s=10.0) == [b"8", b"9"]


def test_mqtt_cannot_drip() -> None:
    with pytest.raises(ValueError, match="cannot befall"):
        Outlet().begin("slow-drip")
