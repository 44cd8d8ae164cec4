"""What `store.yaml` says of devices that are read by a mapping (`mqtt-json`): which value is where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.functions import Functions
from pydantic import AfterValidator, Field, model_validator

from edge_agent.config.devices import MqttDevice, Reader, Scale, Sensor
from edge_agent.config.topics import compile_template, template_problem
from edge_agent.contract.planogram import Identifier
from edge_agent.service.settings import Place, Settings, invalid

Scalar = bool | int | float | str
"""A value to compare with. Words compare without case, and as YAML has it: on and yes are true."""


def _jmespath(path: str) -> str:
    try:
        parsed = jmespath.compile(path).parsed
    except JMESPathError as error:
        hint = "write names with signs in double quotes: '\"temperature:0\".tC'"
        raise ValueError(f"found {path!r}, which is no JMESPath ({type(error).__name__}); {hint}") from error
    for problem in _path_problems(parsed):
        raise ValueError(f"found {path!r}, which no message can satisfy: {problem}")
    return path


def _path_problems(node: Mapping[str, Any]) -> Iterator[str]:
    """What JMESPath finds out when it meets a message, and must not: it would be the same with each one."""
    children = node["children"]
    if node["type"] == "slice":
        if children[2] == 0:
            yield "the step of a slice is 0"
        return
    if node["type"] == "function_expression":
        try:
            Functions().call_function(node["value"], [None] * len(children))
        except JMESPathTypeError:
            pass  # null is no argument for it; what a message holds may be
        except JMESPathError as error:
            yield str(error)
    for child in children:
        yield from _path_problems(child)


def _template(topic: str) -> str:
    problem = template_problem(topic)
    if problem is not None:
        raise ValueError(problem)
    return topic


Path = Annotated[str, AfterValidator(_jmespath)]
"""Where a value is in a message, as JMESPath: `mass`, `scales[0].net.value`, `@` for the message itself."""
TopicTemplate = Annotated[str, Field(min_length=1), AfterValidator(_template)]
"""A topic with the wildcards + and #, `{id}` for the device's own id, `{channel}`, `{antenna}`."""


class WeightMapping(Settings):
    """A weight: at `path`, in `unit`, times `scale`. `each` is a list of plates, or an object by channel."""

    each: Path | None = None
    path: Path = "@"
    unit: Literal["g", "kg", "mg", "t", "lb", "oz"] = "g"
    scale: float = 1.0
    stable: Path | None = None

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.scale == 0:
            raise ValueError("scale is 0: every weight would be 0")
        return self


class TagMapping(Settings):
    """RFID reads: one at the message itself, or `each` of a list. `time` may be a read's own."""

    each: Path | None = None
    epc: Path = "epc"
    encoding: Literal["hex", "base64url"] = "hex"
    antenna: Path | None = None
    rssi_dbm: Path | None = None
    time: Path | None = None


class EnvironmentMapping(Settings):
    """Where a temperature and a humidity are."""

    temperature_c: Path | None = None
    humidity_pct: Path | None = None


class DoorMapping(Settings):
    """A door contact: the values that mean open. With `closed` any other value is an error."""

    path: Path = "@"
    open: Annotated[list[Scalar], Field(min_length=1)]
    closed: list[Scalar] = []


class TradeMapping(Settings):
    """What lines of receipts and of deliveries share; paths are those within one line of `each`.

    A line without a number of its own has its place in the list, from 1. `quantity`: 1 where none is told.
    `time` may be a line's own.
    """

    each: Path | None = None
    line: Path = "line"
    gtin: Path = "gtin"
    quantity: Path = "quantity"
    time: Path | None = None


class SaleMapping(TradeMapping):
    """What a till has sold: one line at the message itself, or `each` of a receipt's lines.

    The number of the `receipt` is looked up in the message, then in the line. A negative quantity was given
    back.
    """

    receipt: Path = "receipt"


class DeliveryMapping(TradeMapping):
    """What goods-in has scanned: one line at the message itself, or `each` of a list.

    The number of the `delivery` is looked up in the message, then in the line; `facing`, where the items were
    put, in the line and then in the message. Without a facing they are in the back room.
    """

    delivery: Path = "delivery"
    facing: Path | None = None


class GapMapping(Settings):
    """A smart camera's verdict on a place: `fill`, the stocked share that it sees, times `scale`.

    `gap` is a path to true or false; without one a place is a gap when its fill is below `gap_below`. The
    default is a tenth: less than one item in a front of ten. With `facing_names` only those places count.
    """

    each: Path | None = None
    facing: Path = "facing"
    fill: Path = "fill"
    scale: Annotated[float, Field(gt=0)] = 1.0
    gap: Path | None = None
    gap_below: Annotated[float, Field(gt=0, le=1)] = 0.1
    facing_names: dict[str, Identifier] = {}
    time: Path | None = None


class OnlineMapping(Settings):
    """The device's own word, or that of its last will, on whether it is there.

    With `{channel}` in the topic it is about one plate. Without `online` any other value means that it is.
    """

    topic: TopicTemplate
    path: Path = "@"
    offline: Annotated[list[Scalar], Field(min_length=1)] = ["offline", "lost", "disconnected", False, 0]
    online: list[Scalar] = []


class MqttJson(MqttDevice, Scale, Reader, Sensor):
    """Anything that publishes JSON, or bare numbers and words: a topic, and where in it the values are."""

    driver: Literal["mqtt-json"]
    topic: TopicTemplate
    weight: WeightMapping | None = None
    environment: EnvironmentMapping = EnvironmentMapping()
    door: DoorMapping | None = None
    tag: TagMapping | None = None
    sale: SaleMapping | None = None
    delivery: DeliveryMapping | None = None
    gap: GapMapping | None = None
    channel: Path | None = None
    channel_names: dict[str, Annotated[int, Field(ge=0, le=9999)]] = {}
    match: dict[Path, Scalar] = {}
    time: Path | None = None
    sequence: Path | None = None
    online: OnlineMapping | None = None

    @property
    def topic_filter(self) -> str:
        """What to subscribe for readings."""
        return compile_template(self.topic, self.id).filter

    @property
    def state_filter(self) -> str | None:
        """What to subscribe for the device's own word on its presence."""
        return compile_template(self.online.topic, self.id).filter if self.online else None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise invalid(problems)
        return self

    def _problems(self) -> Iterator[tuple[Place, str]]:
        mapped = {name for name, path in self.environment if path is not None}
        mapped |= {"door"} if self.door else set()
        if not (mapped or self.weight or self.tag or self.sale or self.delivery or self.gap):
            yield (), "maps nothing; it needs weight, environment, door, tag, sale, delivery or gap"
        yield from self._channel_problems()
        setting = "antennas" if self.antennas else "back_room"
        if self.numbers() and self.tag is None:
            yield (setting,), "needs tag: where the reads are"
        elif self.numbers() and not (self.tag and self.tag.antenna) and "{antenna}" not in self.topic:
            yield (setting,), "needs tag.antenna, or {antenna} in the topic"
        for quantity in self.limits.keys() - mapped:
            yield ("limits", quantity), f"{quantity} is not mapped"

    def _channel_problems(self) -> Iterator[tuple[Place, str]]:
        named = "{channel}" in self.topic
        by_key = self.weight is not None and self.weight.each is not None
        if (self.facings or self.channels) and self.weight is None:
            yield ("weight",), "is missing; facings and channels need it"
        if self.channels and not (named or self.channel or by_key):
            yield ("channels",), "need channel: a path, or {channel} in the topic"
        if named and self.channel:
            yield ("channel",), "is also in the topic; keep one"
        if self.facings and (named or self.channel):
            yield ("facings",), "is for one plate; with a channel use channels"
        for name, channel in self.channel_names.items():
            if self.channels and str(channel) not in self.channels:
                yield ("channel_names", name), f"{channel} is not in channels"
