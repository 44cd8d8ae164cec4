"""A module's registers to readings, as its profile says."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from edge_agent.config.devices import UNITS, ModbusScale
from edge_agent.config.modbus_profile import WORDS, Mark, Poll, Profile, RegisterType, Value
from edge_agent.drivers.mass import grams
from edge_agent.readings import EnvironmentReading, Flag, WeightReading

Registers = Mapping[int, int]
"""Register, in the profile's numbering, to its word."""

_FORMATS: dict[RegisterType, str] = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "float32": ">f",
    "bit": ">H",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """What a module's whole numbers are worth; `unit` None: not a mass, `decimals` None: an unknown code."""

    unit: str | None
    decimals: int | None

    def grams(self, number: Decimal) -> float | None:
        """A weight as sent, in grams."""
        if self.unit is None or self.decimals is None:
            return None
        return grams(f"{number.scaleb(-self.decimals):f}", self.unit)

    @property
    def problem(self) -> str | None:
        """Why it cannot weigh, in words."""
        if self.unit is None:
            return "does not weigh in g, kg, t or lb; set its unit, or give the device unit and decimals"
        if self.decimals is None:
            return "tells its decimals by an unknown code; give the device unit and decimals"
        return None


@dataclass(frozen=True, slots=True)
class Told:
    """What one answer said; `whys`: why plates have no weight, `voids`: quantities without a value."""

    weights: tuple[WeightReading, ...] = ()
    environment: tuple[EnvironmentReading, ...] = ()
    whys: tuple[str, ...] = ()
    voids: tuple[str, ...] = ()


def numbered(profile: Profile, address: int, words: Sequence[int]) -> dict[int, int]:
    """The words of a reply that begins at the wire address `address`."""
    return dict(enumerate(words, address + profile.first_number))


def wire_address(profile: Profile, register: int) -> int:
    """A register's address in a request."""
    return register - profile.first_number


def default_scale(profile: Profile, settings: ModbusScale) -> Scale:
    """What counts before (or without) a register that tells: the settings', else the profile's."""
    decimals = profile.decimals if settings.decimals is None else settings.decimals
    return Scale(settings.unit or profile.unit, decimals)


def told_scale(profile: Profile, settings: ModbusScale, registers: Registers) -> Scale | None:
    """What the scaling register says; None without one among `registers`. The settings win over it."""
    scaling, default = profile.scaling, default_scale(profile, settings)
    word = registers.get(scaling.at) if scaling is not None else None
    if scaling is None or word is None:
        return None
    unit: str | None = default.unit
    decimals: int | None = default.decimals
    if scaling.unit is not None and settings.unit is None:
        unit = scaling.unit.codes.get(scaling.unit.of(word))
    if scaling.decimals is not None and settings.decimals is None:
        code, codes = scaling.decimals.of(word), scaling.decimals.codes
        decimals = codes.get(code) if codes else code
    return Scale(unit, decimals)


def polls_of(profile: Profile, settings: ModbusScale) -> list[Poll]:
    """What to ask; without the register of the scaling where the settings say all that it would."""
    needed = {register for value in profile.every_value for register in value.registers}
    fixed = settings.unit is not None and settings.decimals is not None
    if profile.scaling is not None and not fixed:
        needed.add(profile.scaling.at)
    return [poll for poll in profile.polls if needed & set(poll.registers)]


def told(profile: Profile, device: str, registers: Registers, scale: Scale) -> Told:
    """The readings of all values whose registers are there."""
    weights: list[WeightReading] = []
    environment: list[EnvironmentReading] = []
    whys: list[str] = []
    voids: list[str] = []
    for value in profile.every_value:
        if not value.registers <= registers.keys():
            continue
        flags, faults = _conditions(value, registers)
        if value.quantity == "weight":
            weight_g = None if faults else _weight_g(value, registers, profile, scale)
            if weight_g is None and not faults:
                flags, faults = (*flags, "error"), (scale.problem or "gives no number",)
            stable = None if faults else _marked(value, value.stable, registers)
            weights.append(WeightReading(device, value.channel, weight_g, stable, flags))
            whys += faults
            continue
        measured = None if faults else _number(value, registers, profile)
        if measured is None:
            voids.append(f"{value.quantity}: {'; '.join(faults) or 'no valid value'}")
        else:
            quantity = value.quantity
            number = float(measured.scaleb(-(value.decimals or 0)))
            environment.append(EnvironmentReading(device, quantity, UNITS[quantity], number))
    return Told(tuple(weights), tuple(environment), tuple(dict.fromkeys(whys)), tuple(voids))


def _conditions(value: Value, registers: Registers) -> tuple[tuple[Flag, ...], tuple[str, ...]]:
    """The flags that are set, and the faults in words."""
    found: list[Flag] = [flag for flag, mark in value.flags.items() if _marked(value, mark, registers)]
    faults = [fault for fault in value.faults if _marked(value, fault, registers)]
    found += [flag for fault in faults for flag in fault.flags]
    return tuple(dict.fromkeys(found)), tuple(fault.means for fault in faults)


def _weight_g(value: Value, registers: Registers, profile: Profile, scale: Scale) -> float | None:
    number = _number(value, registers, profile)
    if number is None:
        return None
    own = scale if value.decimals is None else Scale(scale.unit, value.decimals)
    return own.grams(number)


def _number(value: Value, registers: Registers, profile: Profile) -> Decimal | None:
    """The number as sent, with its sign; None for what the profile or IEEE 754 calls no number."""
    if value.open is not None:
        return Decimal(bool(_marked(value, value.open, registers)))
    at, negative = value.at, value.negative
    if value.net is not None and _marked(value, value.net.when, registers):
        at, negative = value.net.at, value.net.negative
    words = [registers[at + index] for index in range(WORDS[value.type])]
    if profile.word_order == "low-first":
        words.reverse()
    (raw,) = struct.unpack(_FORMATS[value.type], b"".join(word.to_bytes(2, "big") for word in words))
    if raw in value.void or (isinstance(raw, float) and not math.isfinite(raw)):
        return None
    # A float32 holds seven digits; more would be made up.
    number = Decimal(f"{raw:.7g}") if isinstance(raw, float) else Decimal(raw)
    return -number if negative is not None and number and _marked(value, negative, registers) else number


def _marked(value: Value, mark: Mark | None, registers: Registers) -> bool | None:
    """Whether a mark is set; None without one."""
    if mark is None:
        return None
    place = value.place(mark)
    return None if place is None else mark.of(registers[place])
