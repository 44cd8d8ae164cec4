"""The `store.yaml` with which an agent can work in a simulated store, as `interfaces.md` §2 describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from device_sims.broker import Broker
from device_sims.scenario import Scenario, scale_id

Line = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the simulated devices are: scale id to port, the broker, the camera, the line to HQ."""

    scales: dict[str, str]
    broker: Broker | None = None
    camera_source: str | None = None
    camera_line: Line | None = None
    uplink_url: str | None = None


@dataclass(frozen=True, slots=True)
class AgentFiles:
    """What the agent brings itself: its port, where it may write, and HQ's token."""

    data_dir: Path
    token_file: Path | None = None
    http_port: int = 8787


def store_yaml(scenario: Scenario, places: Places, files: AgentFiles) -> str:
    """The whole file as YAML text; it needs no other file but the two secrets that it names."""
    settings: dict[str, Any] = {
        "store": scenario.store.model_dump(exclude_none=True),
        "agent": {
            "data_dir": str(files.data_dir),
            "http": {"host": "127.0.0.1", "port": files.http_port},
        },
    }
    if places.broker is not None:
        settings["mqtt"] = {
            "url": places.broker.url,
            "username": places.broker.agent.name,
            "password_file": str(places.broker.agent_password_file),
        }
    if places.uplink_url is not None and files.token_file is not None:
        settings["uplink"] = {"url": places.uplink_url, "token_file": str(files.token_file)}
    settings["products"] = [product.model_dump(exclude_none=True) for product in scenario.products]
    settings["facings"] = [f.model_dump(exclude_none=True, exclude={"on_hand"}) for f in scenario.facings]
    settings["devices"] = [*_scales(scenario, places), *_reader(scenario, places), *_camera(scenario, places)]
    return yaml.safe_dump(settings, allow_unicode=True, sort_keys=False, width=200)


def _scales(scenario: Scenario, places: Places) -> list[dict[str, Any]]:
    facing_of = {scale_id(facing.id): facing.id for facing in scenario.facings}
    return [
        {"id": scale, "driver": "mt-sics", "port": port, "facings": [facing_of[scale]]}
        for scale, port in places.scales.items()
    ]


def _reader(scenario: Scenario, places: Places) -> list[dict[str, Any]]:
    if scenario.reader is None or places.broker is None:
        return []
    antennas = {str(port): facing.id for port, facing in enumerate(scenario.facings, 1)}
    reader = scenario.reader
    return [{"id": reader.id, "driver": "impinj-r700", "topic": reader.topic, "antennas": antennas}]


def _camera(scenario: Scenario, places: Places) -> list[dict[str, Any]]:
    if scenario.camera is None or places.camera_source is None or places.camera_line is None:
        return []
    start, end = places.camera_line
    line = {"id": scenario.camera.line, "from": list(start), "to": list(end)}
    camera: dict[str, Any] = {"id": scenario.camera.id, "driver": "camera", "source": places.camera_source}
    return [camera | {"footfall": {"lines": [line]}}]
