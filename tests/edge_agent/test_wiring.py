"""Which facing a tag read belongs to."""

from __future__ import annotations

from edge_agent.config.devices import ModbusScale, ZebraIotc
from edge_agent.wiring import wiring


def reader(antennas: dict[str, str], *, back_room: list[int] | None = None) -> ZebraIotc:
    return ZebraIotc(
        id="z1", driver="zebra-iotc", topic="rfid/z1", antennas=antennas, back_room=back_room or []
    )


def test_a_read_without_an_antenna_belongs_to_the_only_facing() -> None:
    assert wiring([reader({"3": "A1-01"})]).antennas == {("z1", 3): "A1-01", ("z1", None): "A1-01"}


def test_a_read_without_an_antenna_has_no_place_among_several() -> None:
    assert wiring([reader({"1": "A1-01", "2": "A1-02"})]).antennas == {("z1", 1): "A1-01", ("z1", 2): "A1-02"}


def test_a_wide_facing_is_wired_to_each_of_its_plates() -> None:
    channels = {"1": ["A1-01"], "2": ["A1-01", "A1-02"]}
    module = ModbusScale(
        id="m1", driver="modbus-scale", port="/tty/1", profile="load-cell-16", channels=channels
    )
    assert wiring([module]).plates == {("m1", 1): ["A1-01"], ("m1", 2): ["A1-01", "A1-02"]}


def test_antennas_over_the_back_room_cover_no_facing() -> None:
    found = wiring([reader({"1": "A1-01"}, back_room=[4, 5])])
    assert found.antennas == {("z1", 1): "A1-01"}
    assert set(found.back_room) == {("z1", 4), ("z1", 5)}


def test_a_read_without_an_antenna_is_the_only_ones_even_over_the_back_room() -> None:
    assert set(wiring([reader({}, back_room=[1])]).back_room) == {("z1", 1), ("z1", None)}
    assert set(wiring([reader({}, back_room=[1, 2])]).back_room) == {("z1", 1), ("z1", 2)}
