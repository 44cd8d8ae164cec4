"""The line driver on real ptys and TCP: every maker's simulator, asked and streaming, silence, unplug, sensors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from device_sims.ascii_scale import AsciiScale as SimulatedScale
from device_sims.ascii_scale import Format
from device_sims.indicator import Indicator
from device_sims.links import PtyLink, TcpLink, plugged_in
from device_sims.noise import Noise
from device_sims.plate import Plate
from edge_agent.config.text_devices import AsciiScale
from edge_agent.contract.errors import DeviceSilent, LinkLost
from edge_agent.drivers.ascii_scale import AsciiScaleDriver
from edge_agent.readings import DeviceAnswered, DeviceDegraded, EnvironmentReading, Reading, WeightReading

Running = Callable[[object], AbstractAsyncContextManager[asyncio.Task[None]]]
QUIET = Noise(sample_sd_g=(0.0, 0.0), drift_g_per_sqrt_h=0, creep_share=0, temperature_swing_c=0)
COMMANDS: dict[Format, str] = {
    "and": "Q\r\n",
    "st-gs": "R\r\n",
    "sartorius": "\x1bP\r\n",
    "sartorius-22": "\x1bP\r\n",
    "adam": "P\r\n",
    "ohaus": "P\r\n",
    "sma": "\nW\r",
    "hx711": "w",
}


def driver(port: object, *, silent_after_s: float = 3.5, reply_timeout_s: float = 0.5, **keys: Any) -> Any:
    settings = AsciiScale(id="s1", driver="ascii-scale", port=str(port), poll_hz=50, **keys)
    return AsciiScaleDriver(settings, silent_after_s=silent_after_s, reply_timeout_s=reply_timeout_s)


def preset(maker: Format) -> dict[str, Any]:
    name = maker.removesuffix("-22")
    return {"preset": name} | ({"unit": "g"} if name in ("hx711", "sartorius") else {})


def weights(readings: Sequence[Reading]) -> list[float | None]:
    return [reading.weight_g for reading in readings if isinstance(reading, WeightReading)]


@asynccontextmanager
async def sending(scale: Any, text: str | bytes) -> AsyncIterator[None]:
    """It sends `text` a hundred times a second while the block lasts."""

    async def send() -> None:
        while True:
            scale.say(text)
            await asyncio.sleep(0.01)

    task = asyncio.ensure_future(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def simulated(maker: Format, *, streams: bool) -> tuple[Plate, SimulatedScale]:
    plate = Plate(QUIET, maker)
    plate.lay(123.5)
    indicator = Indicator(plate, max_g=5_000)
    return plate, SimulatedScale(indicator, maker=maker, clock=time.monotonic, streams=streams)


@pytest.mark.parametrize("maker", get_args(Format))
async def test_every_makers_stream_is_weighed_and_an_overload_a_flag(
    maker: Format, tmp_path: Path, emitted: Any, running: Running
) -> None:
    plate, scale = simulated(maker, streams=True)
    link = PtyLink(scale, tmp_path / "scale")
    async with plugged_in(link), running(driver(link.address, **preset(maker)).run(emitted)):
        await emitted.until(lambda rs: 123.5 in weights(rs))
        assert emitted.readings[0] == DeviceAnswered("s1")
        plate.lay(9_000.0)
        if maker not in ("hx711", "adam", "ohaus"):  # no text says what these show
            await emitted.until(lambda rs: isinstance(rs[-1], WeightReading) and "over" in rs[-1].flags)


@pytest.mark.parametrize("maker", get_args(Format))
async def test_every_maker_answers_when_it_is_asked(
    maker: Format, tmp_path: Path, emitted: Any, running: Running
) -> None:
    _, scale = simulated(maker, streams=False)
    link = PtyLink(scale, tmp_path / "scale")
    asked = driver(link.address, command=COMMANDS[maker], **preset(maker))
    async with plugged_in(link), running(asked.run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 5)
    assert set(weights(emitted.readings)) == {123.5}


@pytest.mark.parametrize("maker", ["and", "st-gs", "sartorius", "ohaus", "sma"])
async def test_a_moving_plate_is_unstable_and_a_tare_makes_it_net(
    maker: Format, tmp_path: Path, emitted: Any, running: Running
) -> None:
    plate, scale = simulated(maker, streams=True)
    link = PtyLink(scale, tmp_path / "scale")
    async with plugged_in(link), running(driver(link.address, **preset(maker)).run(emitted)):
        await emitted.until(lambda rs: any(isinstance(r, WeightReading) and r.stable for r in rs))
        plate.change(time.monotonic(), 300.0)
        await emitted.until(
            lambda rs: any(
                isinstance(r, WeightReading) and r.stable is False and "motion" in r.flags for r in rs
            )
        )
        scale.tare()
        if maker in ("st-gs", "ohaus", "sma"):
            await emitted.until(lambda rs: isinstance(rs[-1], WeightReading) and "net" in rs[-1].flags)


async def test_it_works_behind_a_port_server_and_notices_that_it_went(emitted: Any) -> None:
    _, scale = simulated("adam", streams=False)
    link = TcpLink(scale)
    await link.replug()
    polling = asyncio.ensure_future(driver(link.address, command="P\r\n").run(emitted))
    await emitted.until(weights)
    await link.unplug()
    with pytest.raises(LinkLost):
        await polling


# --- by hand, on the pty of the other drivers' tests -----------------------------------------


async def test_half_a_line_after_opening_is_no_weight(scale: Any, emitted: Any, running: Running) -> None:
    async with running(driver(scale.link, preset="hx711", unit="g").run(emitted)) as task:
        while not emitted.readings and not task.done():
            scale.say(b"45\r\n123.45\r\n12.345\r\n123.")
            await asyncio.sleep(0.01)
    assert weights(emitted.readings)[0] == 123.45


async def test_a_stream_that_ends_is_silent_with_a_hint(scale: Any, emitted: Any) -> None:
    async with sending(scale, "ST,+000001.0  g"):
        streaming = asyncio.ensure_future(driver(scale.link, silent_after_s=0.2).run(emitted))
        await emitted.until(weights)
    with pytest.raises(DeviceSilent, match="no line comes") as raised:
        await streaming
    assert "command" in raised.value.hint


async def test_a_silent_device_is_noticed_within_four_seconds(scale: Any, emitted: Any) -> None:
    began = time.monotonic()
    with pytest.raises(DeviceSilent):
        await driver(scale.link).run(emitted)
    assert 3 <= time.monotonic() - began < 4


async def test_babble_is_no_sign_of_life_and_is_shown(scale: Any, emitted: Any) -> None:
    async with sending(scale, "\x01\x7fxyz"):
        with pytest.raises(DeviceSilent, match="not understood") as raised:
            await driver(scale.link, silent_after_s=0.3).run(emitted)
    assert "sends \\x01\\x7fxyz; check baudrate" in raised.value.hint
    assert "xyz" not in str(raised.value), "a reason that changes with what comes would be news each time"
    assert emitted.readings == []


@pytest.mark.parametrize("command", [None, "P\r\n"])
async def test_bytes_that_never_end_a_line_are_no_sign_of_life(
    command: str | None, scale: Any, emitted: Any
) -> None:
    scale.mute = True
    async with sending(scale, b"=00.123"):
        with pytest.raises(DeviceSilent, match="not understood") as raised:
            async with asyncio.timeout(5):
                await driver(scale.link, silent_after_s=0.3, reply_timeout_s=0.1, command=command).run(
                    emitted
                )
    assert "0.123=00" in raised.value.hint
    assert emitted.readings == []


async def test_a_device_that_does_not_answer_is_silent(scale: Any, emitted: Any) -> None:
    scale.mute = True
    with pytest.raises(DeviceSilent, match="nothing answers"):
        await driver(scale.link, command="P\r\n", reply_timeout_s=0.05).run(emitted)
    assert scale.asked[:3] == ["P", "P", "P"]


async def test_one_that_speaks_rarely_may_be_silent_as_long_as_it_is_told(
    scale: Any, emitted: Any, running: Running
) -> None:
    async with running(driver(scale.link, silent_after_s=0.05, expect_every_s=60).run(emitted)) as task:
        async with sending(scale, "ST,+000001.0  g"):
            await emitted.until(weights)
        done, _ = await asyncio.wait([task], timeout=0.3)
        assert not done


async def test_pieces_degrade_the_scale_and_say_why(
    scale: Any, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.plate_watch.DEGRADED_AFTER_S", 0.1)
    scale.answer = lambda _command: scale.say("QT,+00012345 PC")
    async with running(driver(scale.link, command="Q\r\n").run(emitted)):
        await emitted.until(lambda rs: rs and isinstance(rs[-1], DeviceDegraded))
        assert "weighs in PC" in emitted.readings[-1].reason
        scale.answer = lambda _command: scale.say("ST,+000012.5  g")
        await emitted.until(lambda rs: weights(rs)[-1] == 12.5)


async def test_a_sensor_measures_and_one_without_a_value_is_degraded(
    scale: Any, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.plate_watch.DEGRADED_AFTER_S", 0.1)
    sensor = driver(scale.link, pattern=r"T=(?P<value>[-\d.]+|nan)", quantity="temperature_c")
    async with running(sensor.run(emitted)):
        async with sending(scale, "sensor ready\r\nT=4.25"):
            await emitted.until(lambda rs: EnvironmentReading("s1", "temperature_c", "°C", 4.25) in rs)
        async with sending(scale, "T=nan"):
            await emitted.until(lambda rs: isinstance(rs[-1], DeviceDegraded))
        assert emitted.readings[-1].reason == "sends an error instead of a value"
        async with sending(scale, "T=5.00"):
            await emitted.until(lambda rs: EnvironmentReading("s1", "temperature_c", "°C", 5.0) in rs)
    assert weights(emitted.readings) == []


async def test_unplugged_is_lost_at_once_and_replugged_weighs_again(
    scale: Any, emitted: Any, running: Running
) -> None:
    async with sending(scale, "ST,+000001.0  g"):
        lost = asyncio.ensure_future(driver(scale.link).run(emitted))
        await emitted.until(weights)
    scale.unplug()
    with pytest.raises(LinkLost, match="is gone"):
        await lost
    scale.plug()
    async with running(driver(scale.link, preset="and").run(emitted)), sending(scale, "ST,+000002.0  g"):
        await emitted.until(lambda rs: 2.0 in weights(rs))
