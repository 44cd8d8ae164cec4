"""Register maps of Modbus scales and sensors: profile files, the shipped ones and a store's own.

There is no common map: makers differ in numbering, word order, sign, decimals and even in the polarity of
"stable". A profile says all of it, so that a new module needs a file and no code.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from edge_agent.contract.errors import ConfigError
from edge_agent.service.settings import Place, Settings, invalid, load

SHIPPED = Path(__file__).parent / "profiles"

MassUnit = Literal["g", "kg", "t", "lb"]
RegisterType = Literal["int16", "uint16", "int32", "uint32", "float32", "bit"]
BitNumber = Annotated[int, Field(ge=0, le=15)]
Decimals = Annotated[int, Field(ge=0, le=6)]

WORDS: dict[RegisterType, int] = {
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "bit": 1,
}
"""Registers that a value of each type takes."""


def _in_order(bits: tuple[int, int]) -> tuple[int, int]:
    if bits[0] > bits[1]:
        raise ValueError(f"found {list(bits)}; the lower bit comes first")
    return bits


Bits = Annotated[tuple[BitNumber, BitNumber], AfterValidator(_in_order)]


def _number_in(word: int, low: int, high: int) -> int:
    return (word >> low) & ((1 << (high - low + 1)) - 1)


class BitField(Settings):
    """A number in the bits `[lowest, highest]` of a register."""

    bits: Bits = (0, 15)

    def of(self, word: int) -> int:
        """The number."""
        return _number_in(word, *self.bits)


class Mark(Settings):
    """True when `bit` (or the number in `bits`) of the register `at` is `is`; without `at`: of `status`."""

    at: int | None = None
    bit: BitNumber | None = None
    bits: Bits | None = None
    value: Annotated[int, Field(alias="is", ge=0)] = 1

    def of(self, word: int) -> bool:
        """Whether `word` says so."""
        low, high = self.bits or (self.bit or 0, self.bit or 0)
        return _number_in(word, low, high) == self.value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.bit is None) == (self.bits is None):
            raise ValueError("needs either bit or bits: [lowest, highest]")
        return self


class Fault(Mark):
    """What makes the value void: its flags and its meaning in words."""

    flags: tuple[Literal["over", "under", "error"], ...] = ("error",)
    means: str


class Net(Settings):
    """The register of the net weight, which counts in place of `at` while the module shows net."""

    at: int
    negative: Mark | None = None
    when: Mark


class Repeat(Settings):
    """The same value again for the next channels, each `step` registers further."""

    times: Annotated[int, Field(ge=1, le=64)]
    step: Annotated[int, Field(ge=1)]


class Value(Settings):
    """One measured value: a plate's weight, or a quantity of the surroundings."""

    quantity: Literal["weight", "temperature_c", "humidity_pct", "door"] = "weight"
    channel: Annotated[int, Field(ge=0)] | None = None
    at: int
    type: RegisterType
    status: int | None = None
    negative: Mark | None = None
    net: Net | None = None
    stable: Mark | None = None
    open: Mark | None = None
    flags: dict[Literal["net", "zero", "motion"], Mark] = Field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    void: tuple[int, ...] = ()
    decimals: Decimals | None = None
    repeat: Repeat | None = None

    @property
    def marks(self) -> list[Mark]:
        """Every mark that it reads."""
        net = [self.net.when, self.net.negative] if self.net else []
        named = [self.negative, self.stable, self.open, *net]
        return [*(mark for mark in named if mark is not None), *self.flags.values(), *self.faults]

    @cached_property
    def registers(self) -> frozenset[int]:
        """Every register that it is made of, in the profile's numbering."""
        words = WORDS[self.type]
        found = set(range(self.at, self.at + words))
        if self.net is not None:
            found |= set(range(self.net.at, self.net.at + words))
        for mark in self.marks:
            place = self.place(mark)
            if place is not None:
                found.add(place)
        return frozenset(found)

    def place(self, mark: Mark) -> int | None:
        """The register of a mark."""
        if mark.at is not None:
            return mark.at
        return self.at if self.type == "bit" and self.status is None else self.status

    def again(self, number: int) -> Value:
        """The value of the channel `number` places further."""
        step = number * (self.repeat.step if self.repeat else 0)
        shifted = {"at": self.at + step, "status": None if self.status is None else self.status + step}
        net = self.net and self.net.model_copy(update={"at": self.net.at + step})
        channel = None if self.channel is None else self.channel + number
        return self.model_copy(update={**shifted, "net": net, "channel": channel, "repeat": None})

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if any(self.place(mark) is None for mark in self.marks):
            raise ValueError("a bit has no register: give status, or at beside the bit")
        if (self.type == "bit") != (self.open is not None) or (self.quantity == "door") != bool(self.open):
            raise ValueError("a door is of type bit and says with `open` which bit means that it is")
        if self.negative is not None and self.type not in ("uint16", "uint32"):
            raise ValueError(f"has a sign bit apart, so its type must be unsigned, not {self.type}")
        if self.repeat is not None and self.channel is None:
            raise ValueError("is repeated and needs the channel of the first one")
        if self.repeat is not None and any(mark.at is not None for mark in self.marks):
            raise ValueError("is repeated, so its bits are those of its status register: use status, not at")
        if self.quantity != "weight" and self.net is not None:
            raise ValueError("net is for weights")
        return self


class DecimalsCode(BitField):
    """Decimals as a code of the module; without `codes` the number is the number of decimals."""

    codes: dict[int, Decimals] = Field(default_factory=dict)


class UnitCode(BitField):
    """The unit of mass as a code of the module; other codes are units of something else."""

    codes: dict[int, MassUnit]


class Scaling(Settings):
    """The register that says how many decimals the whole numbers have, and in which unit."""

    at: int
    decimals: DecimalsCode | None = None
    unit: UnitCode | None = None


class Poll(Settings):
    """One request: `count` registers from `start`; every round, or each `every_s` seconds."""

    start: int
    count: Annotated[int, Field(ge=1, le=125)]
    every_s: Annotated[float, Field(ge=0)] = 0.0

    @property
    def registers(self) -> range:
        """What it reads."""
        return range(self.start, self.start + self.count)


class Profile(Settings):
    """A module's register map. Registers are written as its manual numbers them (`numbering`)."""

    title: str
    function: Literal[3, 4] = 3
    numbering: Literal["numbers", "addresses"]
    word_order: Literal["high-first", "low-first"] = "high-first"
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    unit: MassUnit = "g"
    decimals: Decimals = 0
    scaling: Scaling | None = None
    poll_hz: Annotated[float, Field(gt=0, le=50)] = 5.0
    polls: Annotated[list[Poll], Field(min_length=1)]
    values: Annotated[list[Value], Field(min_length=1)]

    @property
    def first_number(self) -> int:
        """The number of the register with the address 0 on the wire: 40001, 30001, or 0 for addresses."""
        if self.numbering == "addresses":
            return 0
        return 40001 if self.function == 3 else 30001

    @cached_property
    def every_value(self) -> tuple[Value, ...]:
        """All values, the repeated ones written out."""
        return tuple(
            value.again(number)
            for value in self.values
            for number in range(value.repeat.times if value.repeat else 1)
        )

    @cached_property
    def channels(self) -> frozenset[int | None]:
        """The channels of its plates; None for the only plate of a module; empty for a mere sensor."""
        return frozenset(value.channel for value in self.every_value if value.quantity == "weight")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._poll_problems(), *self._value_problems()]
        if problems:
            raise invalid(problems)
        return self

    def _poll_problems(self) -> Iterator[tuple[Place, str]]:
        low = self.first_number
        high = low + (0xFFFF if self.numbering == "addresses" else 9998)
        for index, poll in enumerate(self.polls):
            if not low <= poll.start <= high - poll.count + 1:
                text = f"found {poll.start}; with this function and numbering registers are {low} to {high}"
                yield ("polls", index, "start"), text
            if poll.count > self.max_registers:
                yield ("polls", index, "count"), f"found {poll.count}; max_registers is {self.max_registers}"
        if all(poll.every_s for poll in self.polls):
            yield ("polls",), "every poll has every_s; the one for the values is read every round"
        if self.scaling is not None and not any(self.scaling.at in poll.registers for poll in self.polls):
            yield ("scaling", "at"), f"register {self.scaling.at} is in none of the polls"

    def _value_problems(self) -> Iterator[tuple[Place, str]]:
        seen: set[tuple[str, int | None]] = set()
        for index, value in enumerate(self.values):
            for number in range(value.repeat.times if value.repeat else 1):
                one = value.again(number)
                if not any(one.registers <= set(poll.registers) for poll in self.polls):
                    low, high = min(one.registers), max(one.registers)
                    yield ("values", index), f"registers {low} to {high} are not read by one poll"
                    break
                if (one.quantity, one.channel) in seen:
                    yield ("values", index), f"{one.quantity} of channel {one.channel} is there twice"
                seen.add((one.quantity, one.channel))
        plates = {channel for quantity, channel in seen if quantity == "weight"}
        if None in plates and len(plates) > 1:
            yield ("values",), "there are several weights, so each needs its channel"


@cache
def shipped_profiles() -> list[str]:
    """The names that `profile` may have without a file of the store's own."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read_profile(name: str) -> Profile:
    """A shipped profile by its name, or the one in the file of that path; ConfigError with every fault."""
    return _shipped(name) if name in shipped_profiles() else _read(Path(name))


@cache
def _shipped(name: str) -> Profile:
    """A hundred modules share one, and each of their tries asks for it."""
    return _read(SHIPPED / f"{name}.yaml")


def _read(path: Path) -> Profile:
    return load(path, Profile, env_prefix="MODBUS_PROFILE", environ={})


def profile_problem(name: str) -> str | None:
    """Why `name` cannot be used as a profile, in one line; None when it can."""
    known = ", ".join(shipped_profiles())
    if name not in shipped_profiles() and not name.endswith((".yaml", ".yml")):
        return f"found {name!r}; shipped profiles: {known}; one of your own: the path of its .yaml file"
    try:
        read_profile(name)
    except ConfigError as error:
        return "; ".join(error.problems)
    return None
