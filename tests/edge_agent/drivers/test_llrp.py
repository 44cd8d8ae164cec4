"""The LLRP driver against an emulated reader over TCP, its faults included."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from llrpkit.emulator.core import EmulatedTag, LLRPEmulator
from llrpkit.protocol import enums, messages, params
from pydantic import ValidationError

from device_sims.llrp import LlrpReader
from edge_agent.config.devices import Llrp
from edge_agent.contract.errors import AssetsMissing, DeviceError, DeviceSilent, LinkDenied, LinkLost
from edge_agent.drivers import Resources, make_driver
from edge_agent.drivers.decode import decoder_for
from edge_agent.drivers.llrp import LlrpDriver, tag_read
from edge_agent.drivers.tap import Heard
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Reading, TagRead

Running = Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]
TAGS = [
    EmulatedTag(bytes.fromhex(f"3034257bf400b7800004cb{n:02x}"), (n % 2 + 1,), -50.0 - n) for n in range(6)
]
SEEN = {(tag.epc.hex(), tag.antennas[0]) for tag in TAGS}


@pytest.fixture(autouse=True)
async def _hung_up() -> AsyncIterator[None]:
    """Servers of the standard library leave their connections to themselves; here they end with the test."""
    yield
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=2)
    for _ in range(3):  # a transport closes in the next turn of the loop
        await asyncio.sleep(0)


def settings(reader: LLRPEmulator, **more: Any) -> Llrp:
    wiring = {"antennas": {"1": "A1", "2": "A2"}} | more
    return Llrp(id="l1", driver="llrp", address=f"127.0.0.1:{reader.port}", **wiring)


def tags(readings: list[Reading]) -> list[TagRead]:
    return [reading for reading in readings if isinstance(reading, TagRead)]


def seen(readings: list[Reading]) -> set[tuple[str, int | None]]:
    return {(read.epc, read.antenna) for read in tags(readings)}


def asked(reader: LlrpReader, kind: type[Any]) -> list[Any]:
    return [message for message in reader.messages_heard if isinstance(message, kind)]


@pytest.mark.parametrize("stock", [False, True])
async def test_the_reads_are_the_tags_of_the_reader(stock: bool, emitted: Any, running: Running) -> None:
    """The emulator as its makers ship it, and ours: both must serve."""
    emulator = LLRPEmulator(tags=TAGS, reads_per_sec=200) if stock else LlrpReader(TAGS, reads_per_s=200)
    async with emulator as reader, running(LlrpDriver(settings(reader)).run(emitted)):
        await emitted.until(lambda readings: seen(readings) == SEEN)
    first = emitted.readings[0]
    assert first == DeviceAnswered("l1", "25882-700 llrpkit-emu 0.1" if stock else "0016250000000001")
    for read in tags(emitted.readings):
        assert read.rssi_dbm is not None
        assert -70 < read.rssi_dbm < -40
        assert read.occurred_at is not None
        assert abs(read.occurred_at.timestamp() - time.time()) < 60


async def test_no_report_of_the_reader_is_lost_or_doubled(emitted: Any, running: Running) -> None:
    sent: list[params.TagReportData] = []

    class Recorded(LlrpReader):
        async def _send(self, msg: Any, *, message_id: int = 0) -> None:
            if isinstance(msg, messages.RO_ACCESS_REPORT):
                sent.extend(msg.tag_report_datas)
            await super()._send(msg, message_id=message_id)

    async with Recorded(TAGS, reads_per_s=500) as reader, running(LlrpDriver(settings(reader)).run(emitted)):
        await emitted.until(lambda readings: len(tags(readings)) >= 200)
        reader._stop_reporting()
        count = len(sent)
        await emitted.until(lambda readings: len(tags(readings)) == count)
    assert Counter(tags(emitted.readings)) == Counter(tag_read("l1", one) for one in sent)


async def test_reports_of_many_tags_are_fetched_at_each_keepalive(emitted: Any, running: Running) -> None:
    async with (
        LlrpReader(TAGS) as reader,
        running(LlrpDriver(settings(reader, report_every_tags=1000)).run(emitted)),
    ):
        await emitted.until(lambda readings: seen(readings) == SEEN)
    (spec,) = asked(reader, messages.ADD_ROSPEC)
    assert spec.ro_spec.ro_report_spec.n == 1000
    assert asked(reader, messages.GET_REPORT)


async def test_the_inventory_is_as_configured(emitted: Any, running: Running) -> None:
    async with (
        LlrpReader(TAGS) as reader,
        running(LlrpDriver(settings(reader, session=2, tx_power_dbm=27.4)).run(emitted)),
    ):
        await emitted.until(tags)
    (spec,) = asked(reader, messages.ADD_ROSPEC)
    (inventory,) = spec.ro_spec.spec_parameters
    assert inventory.antenna_ids == [1, 2]
    (antenna,) = inventory.inventory_parameter_specs[0].antenna_configurations
    assert antenna.rf_transmitter.transmit_power == 18  # its table: 1 is 10 dBm, in steps of 1 dB
    (command,) = antenna.air_protocol_inventory_command_settings
    assert command.c1_g2_singulation_control.session == 2


@pytest.mark.parametrize(
    ("more", "word"),
    [({"antennas": {"5": "A1"}}, "antenna"), ({"tx_power_dbm": 3.0}, "tx_power_dbm")],
)
async def test_what_the_reader_cannot_do_is_told(more: dict[str, Any], word: str, emitted: Any) -> None:
    async with LlrpReader(TAGS) as reader:
        with pytest.raises(DeviceError, match=word) as caught:
            await LlrpDriver(settings(reader, **more)).run(emitted)
    assert caught.value.hint


async def test_keepalives_are_answered_and_prove_that_the_reader_lives(
    emitted: Any, running: Running
) -> None:
    async with LlrpReader([]) as reader, running(LlrpDriver(settings(reader)).run(emitted)):
        await emitted.until(lambda readings: readings.count(DeviceAnswered("l1")) >= 3)
        assert reader.keepalive_acks >= 2


async def test_silence_is_a_dead_reader(emitted: Any) -> None:
    async with LlrpReader([]) as reader:
        task = asyncio.ensure_future(LlrpDriver(settings(reader), silent_after_s=0.7).run(emitted))
        await emitted.until(lambda readings: DeviceAnswered("l1") in readings)
        reader._stop_keepalive()
        with pytest.raises(DeviceSilent):
            await task


@pytest.mark.parametrize("kind", [messages.ADD_ROSPEC, messages.GET_READER_CAPABILITIES])
async def test_a_question_without_an_answer_is_silence(
    kind: type[Any], emitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.llrp_conversation.ANSWER_WITHIN_S", 0.3)
    async with LlrpReader(TAGS) as reader:
        reader.drop_next(kind)
        with pytest.raises(DeviceSilent, match=kind.__name__):
            await LlrpDriver(settings(reader)).run(emitted)
    assert emitted.readings == []


async def test_a_lost_antenna_degrades_until_it_is_back(emitted: Any, running: Running) -> None:
    lost = DeviceDegraded("l1", "antenna 2 is not connected")
    async with LlrpReader(TAGS) as reader, running(LlrpDriver(settings(reader)).run(emitted)):
        await emitted.until(tags)
        await reader.set_antenna_connected(4, False)
        await reader.set_antenna_connected(2, False)
        await emitted.until(lambda readings: lost in readings)
        since = emitted.readings.index(lost)
        await emitted.until(lambda readings: len(tags(readings[since:])) > 20)
        assert emitted.readings[-1] == lost
        await reader.set_antenna_connected(2, True)
        await emitted.until(lambda readings: isinstance(readings[-1], TagRead) and readings[-1].antenna == 2)


async def test_the_driver_ends_within_a_second_and_says_goodbye(emitted: Any) -> None:
    async with LlrpReader(TAGS, reads_per_s=500) as reader:
        for _ in range(20):  # a cancellation may meet a report at any point of a read
            task = asyncio.ensure_future(LlrpDriver(settings(reader)).run(emitted))
            before = len(emitted.readings)
            await emitted.until(lambda readings, before=before: len(tags(readings[before:])) > 3)
            since = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - since < 1
    assert len(asked(reader, messages.CLOSE_CONNECTION)) == 20


async def test_a_reader_that_ignores_the_goodbye_holds_nothing_up(emitted: Any) -> None:
    async with LlrpReader(TAGS) as reader:
        task = asyncio.ensure_future(LlrpDriver(settings(reader)).run(emitted))
        await emitted.until(tags)
        reader.drop_next(messages.CLOSE_CONNECTION)
        since = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - since < 1


async def test_a_second_client_is_denied(emitted: Any, running: Running) -> None:
    async with LlrpReader(TAGS) as reader, running(LlrpDriver(settings(reader)).run(emitted)):
        await emitted.until(tags)
        with pytest.raises(LinkDenied):
            await LlrpDriver(settings(reader)).run(emitted)


async def test_a_reader_that_goes_is_a_lost_link_and_is_found_again(emitted: Any, running: Running) -> None:
    reader = LlrpReader(TAGS)
    async with reader:
        task = asyncio.ensure_future(LlrpDriver(settings(reader)).run(emitted))
        await emitted.until(tags)
    with pytest.raises(LinkLost):
        await task
    with pytest.raises(LinkLost):
        await LlrpDriver(settings(reader)).run(emitted)
    before = len(emitted.readings)
    async with LlrpReader(TAGS, port=reader.port) as again, running(LlrpDriver(settings(again)).run(emitted)):
        await emitted.until(lambda readings: tags(readings[before:]))


async def test_an_inventory_that_the_reader_ends_is_begun_anew(emitted: Any) -> None:
    async with LlrpReader(TAGS) as reader:
        task = asyncio.ensure_future(LlrpDriver(settings(reader)).run(emitted))
        await emitted.until(tags)
        await reader._send_rospec_event(1, enums.ROSpecEventType.End_Of_ROSpec)
        with pytest.raises(DeviceError, match="ended the inventory"):
            await task


@contextlib.asynccontextmanager
async def serving(greeting: bytes) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_what_speaks_no_llrp_is_silent(emitted: Any) -> None:
    for greeting in (b"", b"SSH-2.0-OpenSSH_9.2\r\n" * 100):
        async with serving(greeting) as port:
            device = Llrp(id="l1", driver="llrp", address=f"127.0.0.1:{port}")
            with pytest.raises(DeviceSilent, match="no message"):
                await LlrpDriver(device, silent_after_s=0.3).run(emitted)


async def test_another_greeting_is_no_reader(emitted: Any) -> None:
    async with serving(messages.KEEPALIVE().to_bytes()) as port:
        with pytest.raises(DeviceError, match="greet"):
            await LlrpDriver(Llrp(id="l1", driver="llrp", address=f"127.0.0.1:{port}")).run(emitted)


async def test_a_recording_replays_as_the_same_reads(emitted: Any, running: Running) -> None:
    recorded: list[Heard] = []
    resources = Resources()
    async with LlrpReader(TAGS) as reader:
        device = settings(reader)
        with resources.taps.listen("l1", recorded.append):
            async with running(make_driver(device, resources).run(emitted)):
                await emitted.until(lambda readings: seen(readings) == SEEN)
    decoder = decoder_for(device)
    replayed = [one for heard in recorded for one in decoder.feed(heard)] + list(decoder.end())
    assert {heard.direction for heard in recorded} == {"in", "out"}
    assert replayed[: len(tags(emitted.readings))] == tags(emitted.readings)
    assert all(isinstance(one, TagRead) for one in replayed)


def report(**more: Any) -> params.TagReportData:
    return params.TagReportData(epc_parameter=params.EPC_96(epc=TAGS[0].epc), **more)


def test_missing_fields_are_none_and_uptime_is_no_time() -> None:
    uptime = report(first_seen_timestamp_uptime=params.FirstSeenTimestampUptime(microseconds=5_000_000))
    for entry in (report(), uptime):
        assert tag_read("l1", entry) == TagRead("l1", None, TAGS[0].epc.hex(), None, None)


async def test_reads_tell_their_hop_channel_unless_they_are_merged(emitted: Any, running: Running) -> None:
    for every, told in ((1, True), (3, False)):
        async with LlrpReader(TAGS) as reader:
            async with running(LlrpDriver(settings(reader, report_every_tags=every)).run(emitted)):
                await emitted.until(tags)
            (rospec,) = asked(reader, messages.ADD_ROSPEC)
        content = rospec.ro_spec.ro_report_spec.tag_report_content_selector
        assert content.enable_channel_index is told
        emitted.readings.clear()
    read = tag_read("l1", report(channel_index=params.ChannelIndex(channel_index=7)))
    assert read is not None
    assert read.rf_channel == 7


@pytest.mark.parametrize("microseconds", [0, 2**63, 2**64 - 1])
def test_a_time_that_is_none_costs_the_read_nothing(microseconds: int) -> None:
    entry = report(first_seen_timestamp_utc=params.FirstSeenTimestampUTC(microseconds=microseconds))
    read = tag_read("l1", entry)
    assert read is not None
    assert read.occurred_at is None


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("10.0.0.7", "socket://10.0.0.7:5084"),
        ("reader.local:6000", "socket://reader.local:6000"),
        ("[fe80::1]", "socket://[fe80::1]:5084"),
    ],
)
def test_the_port_is_optional(address: str, url: str) -> None:
    assert Llrp(id="l1", driver="llrp", address=address).url == url


@pytest.mark.parametrize(
    "address", ["", ":5084", "host:0", "host:99999", "http://host", "host/x", "host:llrp"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="address"):
        Llrp(id="l1", driver="llrp", address=address)


def test_an_install_without_llrpkit_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith(("llrpkit", "edge_agent.drivers.llrp"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "llrpkit", None)
    with pytest.raises(AssetsMissing) as caught:
        make_driver(Llrp(id="l1", driver="llrp", address="10.0.0.7"), Resources())
    assert "[llrp]" in caught.value.hint
