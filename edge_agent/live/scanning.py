"""Looks for devices (`devices --scan`): what answers on each serial port, and what the broker carries."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from paho.mqtt.client import MQTTMessage
from serial.tools import list_ports

from edge_agent.config.devices import ImpinjR700, ZebraIotc
from edge_agent.config.store import DEVICE_KINDS, Mqtt
from edge_agent.drivers.decode import decoder_for
from edge_agent.drivers.mqtt_connection import V5, V311, NoHandshake, open_connection
from edge_agent.drivers.scan import probe
from edge_agent.drivers.tap import Heard

LISTEN_S = 5.0
"""How long the broker is listened to."""
TOPICS_KEPT = 500

_UNITS = ("g", "kg", "mg", "t", "lb", "oz")
_WEIGHING = re.compile(r"weight|mass|gross|net|grams?|kg|load", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PortFound:
    """One serial port. `line` goes under `devices:` as it stands; None when nothing of ours answered."""

    port: str
    names: list[str]
    vid_pid: str | None
    maker: str | None
    description: str | None
    problem: str | None
    driver: str | None = None
    identity: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    line: str | None = None
    heard_bytes: int = 0

    def json(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TopicFound:
    """One topic that carries what a driver of ours reads."""

    topic: str
    driver: str
    line: str

    def json(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


async def scan_ports(extra: Sequence[str] = ()) -> list[PortFound]:
    """Every serial port of this machine and the `extra` ones, all looked at at the same time."""
    known = {port.device: port for port in await asyncio.to_thread(list_ports.comports)}
    names = await asyncio.to_thread(stable_names, Path("/dev/serial"))
    ports = list(dict.fromkeys([*sorted(known), *extra]))
    verdicts = await asyncio.gather(*(probe(port) for port in ports))
    found = []
    for number, (port, verdict) in enumerate(zip(ports, verdicts, strict=True), start=1):
        about, answer = known.get(port), verdict.found
        links = names.get(port, [])
        settings = _unusual(answer.driver, answer.settings) if answer else {}
        place = links[0] if links else port
        found.append(
            PortFound(
                port=port,
                names=links,
                vid_pid=f"{about.vid:04x}:{about.pid:04x}" if about and about.vid is not None else None,
                maker=about.manufacturer if about else None,
                description=about.description if about and about.description != "n/a" else None,
                problem=verdict.problem,
                driver=answer.driver if answer else None,
                identity=answer.identity if answer else None,
                settings=settings,
                line=_line(f"device-{number}", answer.driver, {"port": place} | settings) if answer else None,
                heard_bytes=verdict.heard_bytes,
            )
        )
    return found


def stable_names(folder: Path) -> dict[str, list[str]]:
    """tty -> its names that survive a reboot: by the adapter's serial number first, then by its socket."""
    names: dict[str, list[str]] = {}
    for kind in ("by-id", "by-path"):
        for link in sorted((folder / kind).glob("*")):
            names.setdefault(str(link.resolve()), []).append(str(link))
    return names


async def scan_topics(settings: Mqtt, seconds: float = LISTEN_S) -> list[TopicFound]:
    """What is published meanwhile that a driver of ours can read. LinkLost or LinkDenied without a broker."""
    samples: dict[str, bytes] = {}

    def keep(message: MQTTMessage) -> None:
        if len(samples) < TOPICS_KEPT:
            samples.setdefault(message.topic, bytes(message.payload))

    for version in (V5, V311):
        try:
            async with open_connection(
                settings,
                f"shelf-edge-scan-{secrets.token_hex(4)}",
                on_message=keep,
                version=version,
                kept=False,
            ) as connection:
                await connection.subscribe(["#"])
                await asyncio.sleep(seconds)
            break
        except NoHandshake:
            if version == V311:
                raise
    return list(_fitting(samples))


def _fitting(samples: Mapping[str, bytes]) -> Iterator[TopicFound]:
    number = 0
    for topic, payload in sorted(samples.items()):
        driver = _driver_for(topic, payload)
        if driver is not None:
            number += 1
            more: dict[str, object] = {"topic": topic}
            if driver == "mqtt-json":
                more |= _mapping(payload)
            yield TopicFound(topic, driver, _line(f"mqtt-{number}", driver, more))


def _driver_for(topic: str, payload: bytes) -> str | None:
    heard = Heard("in", payload, topic)
    for settings in (
        ImpinjR700(id="scan", driver="impinj-r700", topic="#"),
        ZebraIotc(id="scan", driver="zebra-iotc", topic="#"),
    ):
        if any(not isinstance(item, str) for item in decoder_for(settings).feed(heard)):
            return settings.driver
    return "mqtt-json" if _weight_key(payload) is not None else None


def _weight_key(payload: bytes) -> str | None:
    try:
        said = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    numbers = (key for key, value in said.items() if isinstance(value, int | float))
    return next((key for key in numbers if _WEIGHING.search(key)), None)


def _mapping(payload: bytes) -> dict[str, object]:
    """Where the weight is; its unit where the message or the key names one, else grams are a guess."""
    said, key = msgspec.json.decode(payload), _weight_key(payload) or "@"
    unit = said.get("unit")
    if unit not in _UNITS:
        unit = "kg" if "kg" in key.lower() else "g"
    return {"weight": {"path": key, "unit": unit}}


def _unusual(driver: str, settings: Mapping[str, object]) -> dict[str, Any]:
    """The settings that differ from what the driver takes when nothing is said."""
    fields = DEVICE_KINDS[driver].model_fields
    return {key: value for key, value in settings.items() if fields[key].default != value}


def _line(name: str, driver: str, settings: Mapping[str, object]) -> str:
    """As it is written under `devices:`; JSON texts and numbers are YAML too."""
    pairs = {"id": name, "driver": driver, **settings}
    return "- {" + ", ".join(f"{key}: {_scalar(value)}" for key, value in pairs.items()) + "}"


def _scalar(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    plain = re.fullmatch(r"[A-Za-z/][\w./-]*|\d+", text)
    return text if plain else json.dumps(value, ensure_ascii=False)
