"""RFID readers that speak LLRP over TCP (Impinj Speedway, Zebra FX, Alien, …), with `llrpkit`'s messages.

Protocol facts (EPCglobal LLRP 1.0.1): the reader greets a client with a connection attempt event and serves
one at a time; an inventory is a ROSpec that is added, enabled and started; keepalives are sent when asked
for. EPC, antenna, peak RSSI in dBm and time in µs since 1970 come in RO_ACCESS_REPORT; a reader without a
clock tells µs since it was switched on instead, which is no time of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from llrpkit.exceptions import CapabilityError, MessageDecodeError
from llrpkit.inventory import build_rospec
from llrpkit.protocol import LLRPMessage, decode_message, enums, messages, params
from llrpkit.reader import ReaderCapabilities

from edge_agent.config.devices import Llrp
from edge_agent.contract.errors import ConfigError, DeviceError, LinkDenied, LinkLost
from edge_agent.drivers.frames import Noise
from edge_agent.drivers.link import open_link
from edge_agent.drivers.llrp_conversation import Conversation, Refused
from edge_agent.drivers.llrp_frames import header, message_framer
from edge_agent.drivers.tap import Heard, Tap, deaf, printable
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading, TagRead

KEEPALIVE_MS = 500
SILENT_AFTER_S = 3.0

_ROSPEC = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENTS = (
    enums.NotificationEventType.ROSpec_Event,
    enums.NotificationEventType.Reader_Exception_Event,
    enums.NotificationEventType.Antenna_Event,
)
_log = logging.getLogger(__name__)


def tag_read(device: str, seen: params.TagReportData) -> TagRead | None:
    """One entry of a report; None for a tag whose EPC memory is empty."""
    epc = seen.epc_parameter.epc
    raw = epc if isinstance(epc, bytes) else epc.data
    if not raw:
        return None
    at = seen.first_seen_timestamp_utc or seen.last_seen_timestamp_utc
    return TagRead(
        device,
        None if seen.antenna_id is None else seen.antenna_id.antenna_id,
        raw.hex(),
        None if seen.peak_rssi is None else float(seen.peak_rssi.peak_rssi),
        None if at is None else _moment(at.microseconds),
        None if seen.channel_index is None else seen.channel_index.channel_index,
    )


def _moment(since_1970_us: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=since_1970_us) if since_1970_us else None
    except OverflowError:
        return None


class LlrpDriver:
    """One reader: an inventory over the configured antennas, from connecting until the end of the driver.

    The reader reports every read (or every `report_every_tags` tags, and at each keepalive what it has); all
    reports that have arrived are emitted together. While a configured antenna is lost the device is degraded
    and the others go on.
    """

    def __init__(self, settings: Llrp, tap: Tap = deaf, *, silent_after_s: float = SILENT_AFTER_S) -> None:
        self._settings, self._tap, self._silent_after_s = settings, tap, silent_after_s
        self._antennas = settings.numbers()
        self._lost: set[int] = set()
        self._conversation: Conversation | None = None

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no message."""
        return self._conversation.skipped_bytes if self._conversation else 0

    async def run(self, emit: Emit) -> None:
        """Until cancelled. Raises LinkLost, LinkDenied (another client), DeviceSilent or DeviceError."""
        device = self._settings.id
        async with open_link(self._settings.url, tap=self._tap) as link:
            talk = Conversation(device, link, silent_after_s=self._silent_after_s)
            self._conversation = talk
            _check_greeting(await talk.hear())
            try:
                identity = await self._begin(talk)
                await emit([DeviceAnswered(device, identity), *self._trouble()])
                while True:
                    readings = self._readings(heard := await talk.hear())
                    await emit(readings or [DeviceAnswered(device)])
                    if self._settings.report_every_tags > 1 and _kept_alive(heard):
                        await talk.say(messages.GET_REPORT())
            finally:
                await talk.say_goodbye()

    async def _begin(self, talk: Conversation) -> str:
        """Start the inventory; returns who the reader is."""
        asked = messages.GET_READER_CAPABILITIES(requested_data=enums.GetReaderCapabilitiesRequestedData.All)
        abilities = ReaderCapabilities(await talk.ask(asked, messages.GET_READER_CAPABILITIES_RESPONSE))
        identity = await self._identify(talk, abilities)
        await talk.ask(_configuration(), messages.SET_READER_CONFIG_RESPONSE)
        try:
            await talk.ask(messages.DELETE_ROSPEC(ro_spec_id=0), messages.DELETE_ROSPEC_RESPONSE)
        except Refused as refusal:
            _log.debug("%s: had no ROSpec to delete: %s", self._settings.id, refusal)
        await talk.ask(messages.ADD_ROSPEC(ro_spec=self._rospec(abilities)), messages.ADD_ROSPEC_RESPONSE)
        await talk.ask(messages.ENABLE_ROSPEC(ro_spec_id=_ROSPEC), messages.ENABLE_ROSPEC_RESPONSE)
        await talk.ask(messages.START_ROSPEC(ro_spec_id=_ROSPEC), messages.START_ROSPEC_RESPONSE)
        return identity

    async def _identify(self, talk: Conversation, abilities: ReaderCapabilities) -> str:
        """The reader's own number (its MAC or EPC), else maker, model and firmware; learns lost antennas."""
        identity = f"{abilities.manufacturer}-{abilities.model_number} {abilities.firmware}".rstrip()
        try:
            told = await talk.ask(messages.GET_READER_CONFIG(), messages.GET_READER_CONFIG_RESPONSE)
        except Refused as refusal:
            _log.debug("%s: does not tell its configuration: %s", self._settings.id, refusal)
            return identity
        for antenna in told.antenna_properties:
            self._take_antenna(antenna.antenna_id, connected=antenna.antenna_connected)
        known = told.identification
        return known.reader_id.hex() if known is not None and any(known.reader_id) else identity

    def _rospec(self, abilities: ReaderCapabilities) -> params.ROSpec:
        absent = [antenna for antenna in self._antennas if antenna > abilities.max_antennas > 0]
        if absent:
            raise DeviceError(
                f"the reader has {abilities.max_antennas} antennas, none with number {absent[0]}",
                hint="correct the antenna numbers of this device in the store file",
            )
        power_dbm = self._settings.tx_power_dbm
        try:
            power = None if power_dbm is None else abilities.power_index_for_dbm(power_dbm)
        except CapabilityError as error:
            raise DeviceError(
                f"tx_power_dbm {power_dbm:g}: {error}", hint="leave it out, or raise it"
            ) from error
        spec = build_rospec(
            ro_spec_id=_ROSPEC,
            antennas=self._antennas,
            session=self._settings.session,
            transmit_power_index=power,
            report_every_n=self._settings.report_every_tags,
        )
        if spec.ro_report_spec is not None:
            wanted = spec.ro_report_spec.tag_report_content_selector
            # A reader merges only the reads of one channel where it tells channels.
            wanted.enable_channel_index = self._settings.report_every_tags == 1
            wanted.enable_last_seen_timestamp = wanted.enable_tag_seen_count = False
        return spec

    def _readings(self, heard: list[LLRPMessage]) -> list[Reading]:
        readings: list[Reading] = []
        for message in heard:
            if isinstance(message, messages.RO_ACCESS_REPORT):
                found = (tag_read(self._settings.id, seen) for seen in message.tag_report_datas)
                readings += [read for read in found if read is not None]
            elif isinstance(message, messages.READER_EVENT_NOTIFICATION):
                self._take_event(message.reader_event_notification_data)
        return readings + self._trouble()

    def _take_event(self, event: params.ReaderEventNotificationData) -> None:
        if event.antenna_event is not None:
            connected = event.antenna_event.event_type == enums.AntennaEventType.Antenna_Connected
            self._take_antenna(event.antenna_event.antenna_id, connected=connected)
        if event.reader_exception_event is not None:
            _log.warning("%s reports: %s", self._settings.id, event.reader_exception_event.message)
        if event.connection_close_event is not None:
            raise LinkLost("the reader ends the connection", hint="it is connected again by itself")
        ended = event.ro_spec_event
        if ended is not None and ended.event_type != enums.ROSpecEventType.Start_Of_ROSpec:
            raise DeviceError("the reader has ended the inventory", hint="it is started again by itself")

    def _take_antenna(self, antenna: int, *, connected: bool) -> None:
        if connected:
            self._lost.discard(antenna)
        elif antenna in self._antennas or not self._antennas:
            self._lost.add(antenna)

    def _trouble(self) -> list[Reading]:
        if not self._lost:
            return []
        lost = ", ".join(map(str, sorted(self._lost)))
        return [DeviceDegraded(self._settings.id, f"antenna {lost} is not connected")]


def _configuration() -> messages.SET_READER_CONFIG:
    states = [params.EventNotificationState(event_type=event, notification_state=True) for event in _EVENTS]
    return messages.SET_READER_CONFIG(
        reset_to_factory_default=False,
        reader_event_notification_spec=params.ReaderEventNotificationSpec(event_notification_states=states),
        keepalive_spec=params.KeepaliveSpec(
            keepalive_trigger_type=enums.KeepaliveTriggerType.Periodic, periodic_trigger_value=KEEPALIVE_MS
        ),
        events_and_reports=params.EventsAndReports(hold_events_and_reports_upon_reconnect=False),
    )


def _check_greeting(heard: list[LLRPMessage]) -> None:
    first = heard[0]
    event = (
        first.reader_event_notification_data.connection_attempt_event
        if isinstance(first, messages.READER_EVENT_NOTIFICATION)
        else None
    )
    if event is None:
        raise DeviceError("the reader does not greet as LLRP readers do", hint="is this its LLRP port, 5084?")
    if event.status != enums.ConnectionAttemptStatusType.Success:
        raise LinkDenied(
            f"the reader serves another client ({getattr(event.status, 'name', event.status)})",
            hint="stop the other program that is connected to this reader",
        )


def _kept_alive(heard: list[LLRPMessage]) -> bool:
    return any(isinstance(message, messages.KEEPALIVE) for message in heard)


class LlrpDecoder:
    """For `decode` and `replay`. Option `message_type=61`: every line is a bare body of that type."""

    options = frozenset({"message_type"})

    def __init__(self, settings: Llrp, options: Mapping[str, str]) -> None:
        self._device, self._type = settings.id, options.get("message_type")
        if self._type is not None and not (self._type.isdecimal() and int(self._type) < 1024):
            raise ConfigError(f"message_type: found {self._type!r}", hint="61 is RO_ACCESS_REPORT")
        self._framer = message_framer()

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """What these bytes complete."""
        if heard.direction == "out":
            return iter(())
        if self._type is None:
            return self._found(self._framer.feed(heard.chunk))
        return self._found([header(int(self._type), heard.chunk) + heard.chunk])

    def end(self) -> Iterator[Reading | str]:
        """A message that was cut off, and what stands behind it."""
        return self._found(self._framer.end())

    def _found(self, found: list[bytes | Noise]) -> Iterator[Reading | str]:
        for raw in found:
            if isinstance(raw, Noise):
                yield str(raw)
                continue
            try:
                message = decode_message(raw)
            except MessageDecodeError as error:
                yield f"{error}: {printable(raw.hex().encode())}"
                continue
            if isinstance(message, messages.RO_ACCESS_REPORT):
                for seen in message.tag_report_datas:
                    yield (
                        tag_read(self._device, seen) or f"a tag without EPC: {printable(raw.hex().encode())}"
                    )
