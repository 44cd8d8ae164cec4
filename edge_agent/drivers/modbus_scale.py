"""Weighing modules and sensors on Modbus RTU and TCP, polled as their register map (profile) says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from pymodbus.pdu import ModbusPDU

from edge_agent.config.devices import ModbusScale
from edge_agent.config.modbus_profile import Poll, Profile, read_profile
from edge_agent.contract.errors import ConfigError, DeviceSilent
from edge_agent.drivers.modbus_frames import (
    Framer,
    Noise,
    RtuFramer,
    TcpFramer,
    is_refusal,
    is_request,
    refused,
)
from edge_agent.drivers.modbus_line import TCP, ModbusPort, Question, Refusal, Silence, Station
from edge_agent.drivers.modbus_readings import (
    Told,
    default_scale,
    numbered,
    polls_of,
    told,
    told_scale,
    wire_address,
)
from edge_agent.drivers.plate_watch import PlateWatch
from edge_agent.drivers.tap import Heard, Tap, deaf
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Emit, Reading

SILENT_AFTER = 3
"""Questions without an answer until a module counts as silent; one, where its whole line is."""
REST_S = 0.5
"""How long a module that did not answer is left alone, so that the others of its line lose little."""
COMPLAINS_AFTER = 3
"""Rounds in which a module refuses registers, or has no value, until it counts as degraded."""


class ModbusScaleDriver:
    """One module, asked `poll_hz` times a second for the registers of its profile.

    Its scale (unit, decimals) is known before the first weight. A module that is silent costs its line one
    time-out a try: after a loss it gets one question, and the supervisor's back-off spaces the tries.
    """

    def __init__(self, settings: ModbusScale, port: ModbusPort, tap: Tap = deaf) -> None:
        self._settings, self._port, self._tap = settings, port, tap
        self._profile = read_profile(settings.profile)
        self._polls = polls_of(self._profile, settings)
        self._scale = default_scale(self._profile, settings)
        self._due: dict[Poll, float] = {}
        self._watch = PlateWatch(settings.id)
        self._missed = 0
        self._complaint = ""
        self._complained = 0
        self._station: Station | None = None

    @property
    def skipped_bytes(self) -> int:
        """Bytes that came after a question and were no part of a message."""
        return self._station.skipped_bytes if self._station else 0

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises LinkLost, LinkDenied, or DeviceSilent after 3 unanswered questions."""
        clock = asyncio.get_running_loop().time
        period_s = 1 / (self._settings.poll_hz or self._profile.poll_hz)
        async with self._port.station(self._settings, self._tap) as station:
            self._station = station
            answered = False
            due_s = clock()
            while True:
                said = await self._round(station, clock())
                if said is not None:
                    readings = self._readings(said, clock())
                    if not answered:
                        readings.insert(0, DeviceAnswered(self._settings.id))
                        answered = True
                    if readings:
                        await emit(readings)
                due_s = max(due_s + period_s, clock())
                await station.rest(REST_S if said is None else due_s - clock())

    async def _round(self, station: Station, now_s: float) -> Told | None:
        """What all due polls told; None when the module did not answer one of them."""
        registers: dict[int, int] = {}
        complaints: list[str] = []
        for poll in self._polls:
            if now_s < self._due.get(poll, now_s):
                continue
            answer = await station.ask(self._question(poll))
            if isinstance(answer, Silence):
                self._count_silence(station, answer)
                return None
            self._missed = 0
            station.line.silent.discard(self._settings.unit_id)
            if isinstance(answer, Refusal):
                last = poll.start + poll.count - 1
                complaints.append(f"refuses registers {poll.start} to {last}: {answer.words}")
                continue
            registers |= numbered(self._profile, wire_address(self._profile, poll.start), answer)
            self._due[poll] = now_s + poll.every_s
        self._scale = told_scale(self._profile, self._settings, registers) or self._scale
        if self._lacks_scale():
            registers.clear()
        said = told(self._profile, self._settings.id, registers, self._scale)
        self._note("; ".join([*complaints, *said.voids]))
        return said

    def _lacks_scale(self) -> bool:
        """Whether the poll that tells the scale has not been answered yet: numbers mean nothing before."""
        scaling = self._profile.scaling
        return scaling is not None and any(
            scaling.at in poll.registers and poll not in self._due for poll in self._polls
        )

    def _question(self, poll: Poll) -> Question:
        settings = self._settings
        address = wire_address(self._profile, poll.start)
        return Question(
            settings.unit_id, self._profile.function, address, poll.count, settings.response_timeout_s
        )

    def _count_silence(self, station: Station, silence: Silence) -> None:
        self._missed += 1
        at_once = station.line.is_quiet or self._settings.unit_id in station.line.silent
        allowed = 1 if at_once else SILENT_AFTER
        if self._missed < allowed:
            return
        station.line.silent.add(self._settings.unit_id)
        where = f"station {self._settings.unit_id} on {self._settings.port}"
        if silence.garbled:
            raise DeviceSilent(
                f"{where} answers, yet nothing that can be read",
                hint="check baud rate, parity and termination; have two modules the same address?",
            )
        raise DeviceSilent(
            f"{where} does not answer",
            hint="is it powered, its address and baud rate right, A and B not swapped?",
        )

    def _note(self, complaint: str) -> None:
        self._complained = self._complained + 1 if complaint else 0
        self._complaint = complaint

    def _readings(self, said: Told, now_s: float) -> list[Reading]:
        """What to emit. A degraded module says so last: a good value beside it does not clear it."""
        why = said.whys[0] if len(said.whys) == 1 else None
        judged = self._watch.judged(said.weights, now_s, why=why)
        reasons = [reading.reason for reading in judged if isinstance(reading, DeviceDegraded)]
        if self._complained >= COMPLAINS_AFTER:
            reasons.append(self._complaint)
        readings: list[Reading] = [*said.environment]
        readings += [reading for reading in judged if not isinstance(reading, DeviceDegraded)]
        if reasons:
            readings.append(DeviceDegraded(self._settings.id, "; ".join(reasons)))
        return readings


class ModbusScaleDecoder:
    """For `decode` and `replay`: replies to readings, requests and exceptions to lines of text.

    Which registers a reply holds is not in the reply. It is known from the request before it (recordings have
    both), or from the option `address=REGISTER`; without them the first poll of the profile with as many
    registers counts. Settings with a `tcp://` port read Modbus TCP frames, all others RTU.
    """

    options = frozenset({"address"})

    def __init__(self, settings: ModbusScale, options: Mapping[str, str]) -> None:
        self._settings = settings
        self._profile: Profile = read_profile(settings.profile)
        self._scale = default_scale(self._profile, settings)
        self._framer: Framer = _framer(settings)
        self._asking: Framer = _framer(settings)
        self._address = _address(self._profile, options.get("address"))
        self._asked: ModbusPDU | None = None

    def feed(self, heard: Heard) -> Iterator[Reading | str]:
        """What these bytes complete."""
        if heard.direction == "out":
            for item in self._asking.feed(heard.chunk):
                if not isinstance(item, Noise) and is_request(item):
                    self._asked = item
            return
        yield from self._told(self._framer.feed(heard.chunk))

    def end(self) -> Iterator[Reading | str]:
        """A good message behind a broken one that waited for its end."""
        return self._told(self._framer.end())

    def _told(self, items: list[ModbusPDU | Noise]) -> Iterator[Reading | str]:
        for item in items:
            if isinstance(item, Noise):
                more = "…" if item.count > len(item.first) else ""
                yield f"not Modbus, {item.count} bytes: {item.first.hex()}{more}"
            elif item.dev_id != self._settings.unit_id:
                yield f"of station {item.dev_id}, not of station {self._settings.unit_id} (option unit_id)"
            elif is_request(item):
                self._asked = item
                yield self._request(item)
            elif is_refusal(item):
                self._asked = None
                yield f"station {item.dev_id} refuses function {item.function_code & 0x7F}: {refused(item)}"
            else:
                yield from self._reply(item)

    def _request(self, asked: ModbusPDU) -> str:
        first = asked.address + self._profile.first_number
        last = first + asked.count - 1
        station, function = asked.dev_id, asked.function_code
        return f"a request: station {station}, function {function}, registers {first} to {last}"

    def _reply(self, message: ModbusPDU) -> Iterator[Reading | str]:
        address = self._begins_at(message)
        if address is None:
            name, count = self._settings.profile, len(message.registers)
            yield (
                f"function {message.function_code}, {count} registers: no poll of profile {name} "
                "is like that (option address=REGISTER)"
            )
            return
        registers = numbered(self._profile, address, message.registers)
        self._scale = told_scale(self._profile, self._settings, registers) or self._scale
        said = told(self._profile, self._settings.id, registers, self._scale)
        yield from said.environment
        yield from said.weights
        yield from said.voids

    def _begins_at(self, message: ModbusPDU) -> int | None:
        """The wire address of its first register."""
        asked, self._asked = self._asked, None
        count = len(message.registers)
        if asked is not None and asked.function_code == message.function_code and asked.count == count:
            return asked.address
        if self._address is not None:
            return self._address
        if message.function_code != self._profile.function:
            return None
        found = next((poll for poll in self._profile.polls if poll.count == count), None)
        return None if found is None else wire_address(self._profile, found.start)


def _framer(settings: ModbusScale) -> Framer:
    return TcpFramer() if settings.port.startswith(TCP) else RtuFramer()


def _address(profile: Profile, option: str | None) -> int | None:
    if option is None:
        return None
    register = int(option) if option.isdecimal() else -1
    address = wire_address(profile, register)
    if not 0 <= address <= 0xFFFF:
        raise ConfigError(
            f"address {option!r} is no register of profile {profile.title}",
            hint=f"registers begin with {profile.first_number}",
        )
    return address
