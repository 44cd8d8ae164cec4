"""The file of `record`: JSON Lines, a header and then every piece of a device's talk with its time.

Header `{"recording": 1, "device", "driver", "settings", "started_at", "version"}`, then one object a piece:
`{"t_s", "dir": "in"|"out", "hex"}` of a link, `{"t_s", "topic", "text"|"hex"}` of MQTT, and
`{"t_s", "dropped"}` where the recorder was too slow. `t_s` counts from `started_at`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import msgspec
from pydantic import ValidationError

from edge_agent.config.devices import Device
from edge_agent.config.store import DEVICE_KINDS
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.drivers.decode import DECODERS
from edge_agent.drivers.tap import Heard, Taps, printable
from edge_agent.live.follower import Follower, as_lines

FORMAT = 1
HEARD_KEPT_BYTES = 4 * 2**20
"""Device bytes that wait for one recorder; then the oldest are dropped and counted."""

_PIECE_BYTES = 100

_SECRET = re.compile(r"(^|_)(password|token|secret|key|credentials?)(_file)?$", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Piece:
    """What was heard `t_s` seconds after the start."""

    t_s: float
    heard: Heard


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that is no piece. `torn`: the last one, which was being written when the recorder was killed."""

    text: str
    torn: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording's device, as it was configured, and what follows the header; `ignored` says what not."""

    settings: Device
    pieces: Iterator[Piece | Damage]
    ignored: tuple[str, ...] = ()


def recordable(device: Device) -> None:
    """ConfigError for a device that has no bytes, or whose bytes are pictures."""
    if driver_of(device) not in DECODERS:
        raise ConfigError(
            f"{device.id} is a {driver_of(device)}: pictures never leave it",
            hint="edge-agent footfall reads a video file",
        )


def header_json(device: Device, started_at: datetime) -> dict[str, object]:
    """The first line: whose bytes follow, without its secrets."""
    settings = device.model_dump(mode="json", exclude={"id", "driver"})
    return {
        "recording": FORMAT,
        "device": device.id,
        "driver": driver_of(device),
        "settings": _shareable(settings),
        "started_at": rfc3339(started_at),
        "version": version("shelf-edge"),
    }


def piece_json(piece: Piece) -> dict[str, object]:
    """One line behind the header."""
    t_s, heard = piece.t_s, piece.heard
    if heard.topic is None:
        return {"t_s": round(t_s, 4), "dir": heard.direction, "hex": heard.chunk.hex()}
    try:
        return {"t_s": round(t_s, 4), "topic": heard.topic, "text": heard.chunk.decode("utf-8")}
    except UnicodeDecodeError:
        return {"t_s": round(t_s, 4), "topic": heard.topic, "hex": heard.chunk.hex()}


def dropped_json(t_s: float, dropped: int) -> dict[str, object]:
    """The line that stands for pieces which the recorder was too slow for."""
    return {"t_s": round(t_s, 4), "dropped": dropped}


@contextmanager
def hearing(device: Device, taps: Taps) -> Iterator[tuple[bytes, Follower[Piece]]]:
    """The header's line, and the lines behind it as they are heard while the block lasts."""
    clock = time.monotonic
    started_s = clock()
    follower: Follower[Piece] = Follower(
        HEARD_KEPT_BYTES, piece_json, lambda dropped: dropped_json(clock() - started_s, dropped)
    )

    def listen(heard: Heard) -> None:
        follower.put(Piece(clock() - started_s, heard), len(heard.chunk) + _PIECE_BYTES)

    with taps.listen(device.id, listen):
        yield as_lines([header_json(device, utc_now())]), follower


def read_recording(lines: Iterable[bytes]) -> Recording:
    """A recording from the lines of its file. Damaged lines are told in their place, the rest is still read.

    Raises ConfigError when the first line is no header that this program understands.
    """
    rest = iter(lines)
    header = _object(next(rest, b""))
    if header is None or "recording" not in header:
        raise ConfigError("not a recording: its first line is no header", hint="make one: edge-agent record")
    if header["recording"] != FORMAT:
        raise ConfigError(
            f"a recording of format {header['recording']!r}; this program reads {FORMAT}",
            hint=f"it was made by version {header.get('version')}: replay it with that",
        )
    settings, ignored = _settings(header)
    return Recording(settings, _pieces(rest), ignored)


def driver_of(device: Device) -> str:
    """The name of its driver."""
    return str(getattr(device, "driver", ""))


def _settings(header: Mapping[str, Any]) -> tuple[Device, tuple[str, ...]]:
    driver, given = header.get("driver"), header.get("settings")
    kind = DEVICE_KINDS.get(driver) if isinstance(driver, str) else None
    if kind is None:
        raise ConfigError(
            f"a recording of driver {driver!r}, which is not known", hint=f"known: {', '.join(DEVICE_KINDS)}"
        )
    if not isinstance(given, dict):
        raise ConfigError("the recording's header has no settings", hint="make a new one: edge-agent record")
    known = {key: setting for key, setting in given.items() if key in kind.model_fields}
    try:
        device = kind.model_validate({**known, "id": header.get("device"), "driver": driver})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"the recording's settings do not fit this version: {place}: {first['msg']}",
            hint=f"mend its first line, or replay it with version {header.get('version')}",
        ) from error
    return device, tuple(f"setting {key} is not known here" for key in given if key not in known)


def _pieces(lines: Iterator[bytes]) -> Iterator[Piece | Damage]:
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        piece = _piece(line)
        if piece is not None:
            yield piece
        elif line.endswith(b"\n"):
            yield Damage(f"line {number} is damaged: {printable(line.strip(), 80)}")
        else:
            yield Damage(f"line {number}, the last, is torn: {printable(line.strip(), 80)}", torn=True)


def _piece(line: bytes) -> Piece | Damage | None:
    fields = _object(line)
    if fields is None or not _is_time(fields.get("t_s")):
        return None
    t_s, dropped = float(fields["t_s"]), fields.get("dropped")
    if isinstance(dropped, int):
        return Damage(f"{dropped} pieces are missing at {t_s} s: the recorder was too slow")
    chunk, topic, direction = _chunk(fields), fields.get("topic"), fields.get("dir", "in")
    if chunk is None or direction not in ("in", "out") or not isinstance(topic, str | None):
        return None
    return Piece(t_s, Heard(direction, chunk, topic))


def _chunk(fields: Mapping[str, Any]) -> bytes | None:
    text, digits = fields.get("text"), fields.get("hex")
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    try:
        return bytes.fromhex(digits) if isinstance(digits, str) else None
    except ValueError:
        return None


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_time(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )


def _shareable(setting: Any) -> Any:
    """A setting without what must not be shared: secret keys, and users in addresses."""
    if isinstance(setting, dict):
        return {key: _shareable(inner) for key, inner in setting.items() if not _SECRET.search(key)}
    if isinstance(setting, list):
        return [_shareable(inner) for inner in setting]
    return _USER_IN_URL.sub("", setting) if isinstance(setting, str) else setting
