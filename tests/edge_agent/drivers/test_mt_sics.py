"""The scale driver on real ptys and real TCP: identity, late and foreign replies, silence, unplug and replug."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from edge_agent.config.devices import MtSics
from edge_agent.contract.errors import DeviceSilent, LinkLost
from edge_agent.drivers.mt_sics import MtSicsDriver
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Reading, WeightReading

Running = Callable[[object], AbstractAsyncContextManager[asyncio.Task[None]]]


def driver(port: object, *, stream: bool = False, **tuning: Any) -> MtSicsDriver:
    settings = MtSics(id="s1", driver="mt-sics", port=str(port), poll_hz=50, stream=stream)
    return MtSicsDriver(settings, **{"reply_timeout_s": 0.2, **tuning})


def weights(readings: Sequence[Reading]) -> list[float | None]:
    return [reading.weight_g for reading in readings if isinstance(reading, WeightReading)]


async def test_says_who_it_is_then_weighs(scale: Any, emitted: Any, running: Running) -> None:
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
    assert emitted.readings[0] == DeviceAnswered("s1", "B021002593")
    assert emitted.readings[1] == WeightReading("s1", None, 100.0, True)
    assert scale.asked[0] == "@"


async def test_a_moving_plate_is_unstable(scale: Any, emitted: Any, running: Running) -> None:
    scale.weight = "S D       0.352 kg"
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(weights)
    assert emitted.readings[1] == WeightReading("s1", None, 352.0, False)


async def test_a_tare_or_a_foreign_reply_is_never_the_plates_weight(
    scale: Any, emitted: Any, running: Running
) -> None:
    def answer(command: str) -> None:
        scale.say("T S    25.0000 g\r\nZ A\r\nTA A  77.00 g")
        type(scale).answer(scale, command)

    scale.answer = answer
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 10)
    assert set(weights(emitted.readings)) == {100.0}


async def test_a_printed_weight_counts_although_nobody_asked(
    scale: Any, emitted: Any, running: Running
) -> None:
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(weights)
        scale.say("S S     12.0000 g")
        await emitted.until(lambda rs: 12.0 in weights(rs))


async def test_late_replies_are_weights_and_the_dialogue_stays_in_step(
    scale: Any, emitted: Any, running: Running
) -> None:
    held: list[str] = []
    serial = itertools.count(1)

    def answer(command: str) -> None:
        if command != "SI":
            type(scale).answer(scale, command)
            return
        held.append(f"S S {next(serial)}.0 g")
        if len(held) == 2:
            scale.say("\r\n".join(held))
            held.clear()

    scale.answer = answer
    async with running(driver(scale.link, silent_after=1000, reply_timeout_s=0.02).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 6)
    found = weights(emitted.readings)
    assert found == [float(n) for n in range(1, len(found) + 1)], "each weight once and in order"


async def test_a_frame_in_two_halves_is_one_weight(scale: Any, emitted: Any, running: Running) -> None:
    loop = asyncio.get_running_loop()

    def answer(command: str) -> None:
        if command != "SI":
            type(scale).answer(scale, command)
            return
        scale.say(b"S S     10")
        loop.call_soon(loop.call_soon, scale.say, b"0.00 g\r\n")

    scale.answer = answer
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
    assert set(weights(emitted.readings)) == {100.0}


async def test_half_a_frame_and_silence_is_no_weight_but_a_silent_scale(scale: Any, emitted: Any) -> None:
    def answer(command: str) -> None:
        if command == "SI":
            scale.say(b"S S     10")
        else:
            type(scale).answer(scale, command)

    scale.answer = answer
    with pytest.raises(DeviceSilent):
        await driver(scale.link, reply_timeout_s=0.02).run(emitted)
    assert weights(emitted.readings) == []


async def test_a_scale_that_never_answers_is_silent_with_a_hint(scale: Any, emitted: Any) -> None:
    scale.mute = True
    with pytest.raises(DeviceSilent) as raised:
        await driver(scale.link, reply_timeout_s=0.02).run(emitted)
    assert raised.value.retry
    assert "baud rate" in raised.value.hint
    assert emitted.readings == []


@pytest.mark.parametrize("stream", [False, True])
async def test_another_protocol_is_told_apart_from_silence(stream: bool, scale: Any, emitted: Any) -> None:
    scale.answer = lambda _command: scale.say("ST,GS,+ 0.100kg")
    with pytest.raises(DeviceSilent, match="not MT-SICS") as raised:
        await driver(scale.link, reply_timeout_s=0.02, stream=stream).run(emitted)
    assert "ST,GS,+ 0.100kg" in raised.value.hint
    assert "ST,GS" not in str(raised.value), "a reason that changes with what comes would be news each time"


async def test_one_missed_reply_is_no_silence(scale: Any, emitted: Any, running: Running) -> None:
    questions = itertools.count()

    def answer(command: str) -> None:
        if next(questions) % 3:
            type(scale).answer(scale, command)

    scale.answer = answer
    async with running(driver(scale.link, reply_timeout_s=0.05).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 8)


@pytest.mark.parametrize(
    ("line", "flag"), [("S +", "over"), ("S -", "under"), ("S I", "error"), ("ES", "error")]
)
async def test_a_condition_is_a_flag_without_a_weight(
    scale: Any, emitted: Any, running: Running, line: str, flag: str
) -> None:
    scale.weight = line
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(weights)
        assert emitted.readings[1] == WeightReading("s1", None, None, None, (flag,))
        scale.weight = "S S 1.0 g"
        await emitted.until(lambda rs: 1.0 in weights(rs))


async def test_a_lasting_condition_degrades_the_device_and_a_weight_ends_it(
    scale: Any, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.plate_watch.DEGRADED_AFTER_S", 0.1)
    scale.weight = "S +"
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(lambda rs: isinstance(rs[-1], DeviceDegraded) if rs else False)
        assert "overload" in emitted.readings[-1].reason
        scale.weight = "S S 5.00 g"
        await emitted.until(lambda rs: weights(rs)[-1] == 5.0)


async def test_a_scale_that_restarts_says_so_and_is_asked_on(
    scale: Any, emitted: Any, running: Running
) -> None:
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(weights)
        scale.serial = "B999"
        scale.say('I4 A "B999"')
        await emitted.until(lambda rs: DeviceAnswered("s1", "B999") in rs)
        seen = len(emitted.readings)
        await emitted.until(lambda rs: weights(rs[seen:]))


async def test_unplugged_is_lost_at_once_and_replugged_weighs_again(scale: Any, emitted: Any) -> None:
    lost = asyncio.ensure_future(driver(scale.link).run(emitted))
    await emitted.until(weights)
    scale.unplug()
    with pytest.raises(LinkLost, match="is gone"):
        await lost
    with pytest.raises(LinkLost, match="is absent"):
        await driver(scale.link).run(emitted)
    scale.plug()
    scale.weight = "S S 7.0 g"
    again = asyncio.ensure_future(driver(scale.link).run(emitted))
    await emitted.until(lambda rs: 7.0 in weights(rs))
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_noise_on_the_line_hides_no_weight(scale: Any, emitted: Any, running: Running) -> None:
    def answer(command: str) -> None:
        scale.say(b"\x00\xff\x80S S  1\r\n\xfe")
        type(scale).answer(scale, command)

    scale.answer = answer
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 5)
    assert set(weights(emitted.readings)) == {100.0}


async def test_weighs_over_tcp_and_notices_a_peer_that_says_nothing(emitted: Any) -> None:
    quiet = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if not quiet.is_set():
                writer.write(b'I4 A "T1"\r\n' if line != b"SI\r\n" else b"S S    33.00 g\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        weighing = asyncio.ensure_future(
            driver(f"socket://127.0.0.1:{port}", reply_timeout_s=0.1).run(emitted)
        )
        await emitted.until(lambda rs: 33.0 in weights(rs))
        assert emitted.readings[0] == DeviceAnswered("s1", "T1")
        quiet.set()
        with pytest.raises(DeviceSilent):
            async with asyncio.timeout(5):
                await weighing


def streams(scale: Any) -> None:
    def answer(command: str) -> None:
        if command == "SIR":
            scale.say("S S 1.0 g\r\nS D 2.0 g")
        else:
            type(scale).answer(scale, command)

    scale.answer = answer


async def test_a_stream_is_begun_once_and_ended_on_the_way_out(
    scale: Any, emitted: Any, running: Running
) -> None:
    streams(scale)
    async with running(driver(scale.link, stream=True, reply_timeout_s=5).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 2)
        scale.say("S S 3.0 g")
        await emitted.until(lambda rs: 3.0 in weights(rs))
        assert scale.asked == ["@", "SIR"]
    assert scale.asked == ["@", "SIR", "SI"]
    assert weights(emitted.readings) == [1.0, 2.0, 3.0]


async def test_a_stalled_stream_is_asked_and_begun_anew(scale: Any, emitted: Any, running: Running) -> None:
    streams(scale)
    async with running(driver(scale.link, stream=True, reply_timeout_s=0.1).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 4)
    assert scale.asked[:5] == ["@", "SIR", "SI", "SIR", "I4"], "who answers may be another scale"


async def test_a_scale_that_restarts_is_told_to_stream_again(
    scale: Any, emitted: Any, running: Running
) -> None:
    streams(scale)
    async with running(driver(scale.link, stream=True, reply_timeout_s=5).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 2)
        scale.say('I4 A "B021002593"')
        await emitted.until(lambda rs: len(weights(rs)) >= 4)
        assert scale.asked == ["@", "SIR", "SIR"]


@pytest.mark.parametrize("refusal", ["ES", "EL", "SIR L"])
async def test_a_scale_that_does_not_stream_is_polled(
    scale: Any, emitted: Any, running: Running, refusal: str
) -> None:
    def answer(command: str) -> None:
        if command == "SIR":
            scale.say(refusal)
        else:
            type(scale).answer(scale, command)

    scale.answer = answer
    async with running(driver(scale.link, stream=True).run(emitted)):
        await emitted.until(lambda rs: weights(rs)[-2:] == [100.0, 100.0])
    assert scale.asked.count("SIR") == 1


async def test_another_scale_on_the_same_line_is_noticed_within_the_minute(
    scale: Any, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.mt_sics.IDENTITY_EVERY_S", 0.05)
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(weights)
        scale.serial = "B777"  # changed behind a port server: no banner, no break of the link
        await emitted.until(lambda rs: DeviceAnswered("s1", "B777") in rs)


async def test_a_number_that_is_told_once_is_noise_and_no_other_scale(
    scale: Any, emitted: Any, running: Running
) -> None:
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(weights)
        scale.say(b'I4 A "garbled"\r\n')
        scale.say(b'I4 A "B0\xd7\x0c1"\r\n')
        seen = len(weights(emitted.readings))
        await emitted.until(lambda rs: len(weights(rs)) > seen + 5)
    told = {reading.identity for reading in emitted.readings if isinstance(reading, DeviceAnswered)}
    assert told <= {None, "B021002593", scale.serial}


async def test_whoever_answers_after_a_silence_is_asked_who_it_is(
    scale: Any, emitted: Any, running: Running
) -> None:
    unheard = ["SI"]

    def answer(command: str) -> None:
        if command in unheard:
            unheard.remove(command)
            scale.serial = "B778"
        else:
            type(scale).answer(scale, command)

    async with running(driver(scale.link, reply_timeout_s=0.1).run(emitted)):
        await emitted.until(weights)
        scale.answer = answer
        await emitted.until(lambda rs: DeviceAnswered("s1", "B778") in rs)


async def test_a_list_cut_in_the_middle_of_a_line_answers_nothing_and_loses_nothing(
    scale: Any, emitted: Any, running: Running
) -> None:
    def answer(command: str) -> None:
        scale.say(b'I0 B 0 "I0"\r\nI0 B 0 "I')
        type(scale).answer(scale, command)

    scale.answer = answer
    async with running(driver(scale.link).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
    assert set(weights(emitted.readings)) == {100.0}
