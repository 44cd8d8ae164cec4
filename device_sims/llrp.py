"""A reader that speaks LLRP over TCP: `llrpkit`'s emulator, with what it leaves out of the standard.

After EPCglobal LLRP 1.0.1: ENABLE_EVENTS_AND_REPORTS has no answer, ROSpec 0 means all of them, an immediate
start trigger starts a ROSpec as it is enabled, reports wait for N tags or for GET_REPORT, and
GET_READER_CONFIG tells who the reader is and which antennas it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from llrpkit.emulator.core import EmulatedTag, LLRPEmulator
from llrpkit.protocol import LLRPMessage, enums, messages, params

from device_sims.links import stop_accepting
from device_sims.world import World

_MEAN_DBM = -52.0
_HANG_UP_S = 1.0
_MOST_DBM, _LEAST_DBM = -20.0, -71.0


def tags_in_view(world: World, facings: Sequence[str]) -> list[EmulatedTag]:
    """The tags of `facings` now; antenna `n` hangs over the n-th of them."""
    return [
        EmulatedTag(
            bytes.fromhex(tag.epc),
            (antenna,),
            min(_MOST_DBM, max(_LEAST_DBM, _MEAN_DBM + tag.rssi_offset_db)),
            tag.read_per_s,
        )
        for antenna, facing in enumerate(facings, 1)
        for tag in world.tags(facing)
    ]


class LlrpReader(LLRPEmulator):
    """One reader on 127.0.0.1; `async with` runs it, `port` says where. `mac` is its own number (EUI-64)."""

    def __init__(
        self,
        tags: Iterable[EmulatedTag],
        *,
        antennas: int = 4,
        reads_per_s: float = 60.0,
        seed: int = 1,
        mac: bytes = bytes.fromhex("0016250000000001"),
        port: int = 0,
    ) -> None:
        super().__init__(
            port=port, tags=list(tags), reads_per_sec=reads_per_s, antenna_count=antennas, seed=seed
        )
        self._mac = mac
        self._served: set[asyncio.Future[None]] = set()
        self._collected: list[params.TagReportData] = []
        self.messages_heard: list[LLRPMessage] = []

    async def stop(self) -> None:
        """Hang up, and wait until every connection is closed."""
        if self._server is not None:
            await stop_accepting(self._server)
        await super().stop()
        if self._served:
            await asyncio.wait(self._served, timeout=_HANG_UP_S)

    async def _handle_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._served.add(asyncio.ensure_future(writer.wait_closed()))
        await super()._handle_client(reader, writer)

    async def _handle_message(self, msg: LLRPMessage) -> None:
        self.messages_heard.append(msg)
        if isinstance(msg, messages.ENABLE_EVENTS_AND_REPORTS):
            return
        if isinstance(msg, messages.GET_REPORT):
            await self._report()
        elif isinstance(msg, messages.DELETE_ROSPEC) and msg.ro_spec_id == 0:
            self._rospecs.clear()
            self._collected.clear()
            self._sync_reporting()
            done = messages.DELETE_ROSPEC_RESPONSE(llrp_status=self._status_ok())
            await self._send(done, message_id=msg.message_id)
        else:
            await super()._handle_message(msg)
            if isinstance(msg, messages.ENABLE_ROSPEC):
                self._start_immediate()

    async def _send(self, msg: LLRPMessage, *, message_id: int = 0) -> None:
        if isinstance(msg, messages.GET_READER_CONFIG_RESPONSE):
            self._tell_identity(msg)
        elif isinstance(msg, messages.RO_ACCESS_REPORT) and (most := self._tags_a_report()) > 1:
            self._collected += msg.tag_report_datas
            if len(self._collected) >= most:
                await self._report()
            return
        await super()._send(msg, message_id=message_id)

    async def _report(self) -> None:
        collected, self._collected = self._collected, []
        await super()._send(messages.RO_ACCESS_REPORT(tag_report_datas=collected))

    def _tags_a_report(self) -> int:
        specs = [spec.ro_report_spec for spec, state in self._rospecs.values() if state == "Active"]
        return max((spec.n for spec in specs if spec is not None), default=1)

    def _start_immediate(self) -> None:
        immediate = enums.ROSpecStartTriggerType.Immediate
        for number, (spec, state) in self._rospecs.items():
            trigger = spec.ro_boundary_spec.ro_spec_start_trigger.ro_spec_start_trigger_type
            if state == "Enabled" and trigger == immediate:
                self._rospecs[number] = (spec, "Active")
        self._sync_reporting()

    def _tell_identity(self, response: messages.GET_READER_CONFIG_RESPONSE) -> None:
        response.identification = params.Identification(
            id_type=enums.IdentificationType.MAC_Address, reader_id=self._mac
        )
        response.antenna_properties = [
            params.AntennaProperties(
                antenna_connected=number not in self._disconnected, antenna_id=number, antenna_gain=0
            )
            for number in range(1, self.antenna_count + 1)
        ]
