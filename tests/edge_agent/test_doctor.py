"""What the doctor says of devices: the real drivers on real ptys, each trouble with its own advice."""

from __future__ import annotations

import asyncio
import os
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.config.store import StoreSettings
from edge_agent.doctor import examine
from edge_agent.service.finding import Finding
from edge_agent.vision.model import FOLDER


class Port:
    """A pty behind a name, whose far end answers each question as told."""

    def __init__(self, name: Path, answer: Callable[[bytes], bytes]) -> None:
        self.name, self._answer = name, answer
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        name.symlink_to(os.ttyname(self.slave))
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        os.write(self.master, self._answer(os.read(self.master, 4096)))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
async def port(tmp_path: Path) -> Iterator[Callable[..., Port]]:
    made: list[Port] = []

    def make(name: str, answer: Callable[[bytes], bytes]) -> Port:
        made.append(Port(tmp_path / name, answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def scale(question: bytes) -> bytes:
    return b'I4 A "0123"\r\n' if question == b"@\r\n" else b"S S     100.00 g\r\n"


async def findings(folder: Path, *devices: dict[str, object]) -> dict[str, Finding]:
    agent = {"data_dir": str(folder / "var")}
    store = {"store": {"id": "s1"}, "agent": agent, "devices": [*devices]}
    return {f.what: f async for f in examine(StoreSettings.model_validate(store))}


async def test_each_trouble_of_a_device_has_its_own_advice(tmp_path: Path, port: Callable[..., Port]) -> None:
    port("usb-sound", scale)
    port("usb-mute", lambda _: b"")
    port("usb-other", lambda _: b"\xa0\x04\x01\x90\x01\xff" * 20)
    names = {"sound": "usb-sound", "mute": "usb-mute", "other": "usb-other", "typo": "usb-sounb"}
    found = await findings(
        tmp_path,
        *({"id": id_, "driver": "mt-sics", "port": str(tmp_path / name)} for id_, name in names.items()),
    )
    assert (found["sound"].level, found["sound"].text) == ("ok", "answers as 0123")
    assert {found[name].level for name in ("mute", "other", "typo")} == {"FAIL"}
    assert "is it switched on" in found["mute"].hint
    assert "bytes came that are no frames of mt-sics: are driver, baudrate" in found["other"].hint
    assert f"did you mean {tmp_path / 'usb-sound'}?" in found["typo"].hint


async def test_devices_are_asked_beside_each_other_and_told_in_their_order(
    tmp_path: Path, port: Callable[..., Port]
) -> None:
    for number in range(6):
        port(f"p{number}", scale if number % 2 else lambda _: b"")
    began = time.monotonic()
    devices = [{"id": f"s{n}", "driver": "mt-sics", "port": str(tmp_path / f"p{n}")} for n in range(6)]
    found = await findings(tmp_path, *devices)
    assert [what for what in found if what.startswith("s")] == [f"s{n}" for n in range(6)]
    assert time.monotonic() - began < 8


async def test_modbus_modules_on_one_line_are_each_found_or_missed(
    tmp_path: Path, port: Callable[..., Port]
) -> None:
    from pymodbus.framer import FramerRTU
    from pymodbus.pdu import DecodePDU
    from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

    framer = FramerRTU(DecodePDU(is_server=True))

    def module_2(question: bytes) -> bytes:
        count = int.from_bytes(question[4:6], "big")
        if question[0] != 2 or len(question) != 8:
            return b""
        return framer.buildFrame(ReadHoldingRegistersResponse(registers=[0] * count, dev_id=2))

    port("line", module_2)
    line = {"driver": "modbus-scale", "port": str(tmp_path / "line")}
    found = await findings(tmp_path, *({"id": f"m{n}", "unit_id": n, **line} for n in (1, 2)))
    assert (found["m1"].level, found["m2"].level) == ("FAIL", "ok")
    assert "station 1" in found["m1"].text


async def test_a_modbus_line_at_the_wrong_speed_is_told_from_a_silent_one(
    tmp_path: Path, port: Callable[..., Port]
) -> None:
    port("line", lambda _: b"\x9c\x00\xe3" * 5)
    found = await findings(tmp_path, {"id": "m", "driver": "modbus-scale", "port": str(tmp_path / "line")})
    assert found["m"].level == "FAIL"
    assert "no frames of modbus-scale" in found["m"].hint


async def test_each_model_is_loaded_and_shown_the_golden_frame(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")

    def camera(device: str, **model: object) -> dict[str, object]:
        source = str(tmp_path / "gone.mp4")
        footfall = {"lines": [{"id": "l", "from": [0, 9], "to": [9, 9]}]}
        return {"id": device, "driver": "camera", "source": source, "footfall": footfall, "model": model}

    packed = str(FOLDER / "nanodet.onnx")
    found = await findings(
        tmp_path,
        camera("cam-1", name="nanodet"),
        camera("cam-2", path=packed, family="nanodet", normalisation={"mean": [0] * 3, "sd": [1] * 3, "channels": "bgr"}),
        camera("cam-3", name="nanodet"),
        camera("cam-4", path=str(tmp_path / "broken.onnx"), family="yolox"),
        camera("cam-5", path=packed, family="nanodet", checked=False),
    )  # fmt: skip
    shared = found["model of cam-1, cam-3"]
    assert shared.level == "ok"
    assert shared.text.startswith("nanodet (nanodet, ")
    assert shared.text.endswith(") finds the people of the golden frame")
    dark = found["model of cam-2"]
    assert (dark.level, dark.text) == (
        "FAIL",
        "model nanodet.onnx: it found nobody on the golden frame, where 2 people stand [E-MODEL]",
    )
    assert "normalisation" in dark.hint
    assert found["model of cam-4"].hint.startswith("export it to ONNX")
    assert found["model of cam-5"].text.endswith(") unchecked, as model.checked says")


@pytest.mark.parametrize(("is_shown", "why"), [(True, "cannot open"), (False, "nothing to do")])
async def test_a_camera_that_is_only_shown_at_the_page_has_something_to_do(
    tmp_path: Path, is_shown: bool, why: str
) -> None:
    """Its lines may be drawn there; so the doctor asks it as the agent does."""
    agent = {"data_dir": str(tmp_path / "var"), "camera_page": {"enabled": is_shown}}
    camera = {
        "id": "cam",
        "driver": "camera",
        "source": "http://127.0.0.1:9/none",
        "model": {"name": "coco-ssd"},
    }
    store = {"store": {"id": "s1"}, "agent": agent, "devices": [camera]}
    found = {f.what: f async for f in examine(StoreSettings.model_validate(store))}
    assert why in found["cam"].text
