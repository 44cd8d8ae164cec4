"""`device-sims run`: one simulated store from power-on to closing, told on stdout as it goes."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from device_sims import control
from device_sims.processes import Interrupted, until_stopped
from device_sims.scenario import Scenario
from device_sims.store import Clip, SimulatedStore
from device_sims.store_file import AgentFiles, Places, device_entry, store_yaml
from device_sims.truth import (
    AnyRecord,
    BagChanged,
    Closed,
    Crossed,
    FaultChanged,
    ItemsDelivered,
    ItemsMoved,
    LineChanged,
    Opened,
    ShopperLeft,
    TruthFile,
)
from edge_agent.contract.errors import ConfigError

_SHOWN = 40
"""Ports that are listed on a terminal."""


@dataclass(frozen=True, slots=True)
class Session:
    """How to run one store. `held`: it opens at the first line on stdin, keeps power until stdin ends."""

    scenario: Scenario
    seed: int
    folder: Path
    truth: Path | None = None
    hq_url: str | None = None
    token_file: Path | None = None
    edge_port: int = 8787
    clip: Clip | None = None
    ports: dict[str, int] | None = None
    held: bool = False
    as_json: bool = False
    shows_line: bool = False

    async def run(self) -> None:
        """Play the whole scenario. Returns at its end or at Ctrl-C; raises our errors."""
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        try:
            with TruthFile(self.truth) as truth:
                await until_stopped(self._play(truth))
        except Interrupted:
            self._say("stopped", {})
        except OSError as error:
            raise ConfigError(
                f"{error.filename or self.folder}: {error.strerror}", hint="choose --dir"
            ) from error

    async def _play(self, truth: TruthFile) -> None:
        def tell(record: AnyRecord) -> None:
            truth.write(record)
            self._say_record(record)

        store = SimulatedStore(
            self.scenario,
            seed=self.seed,
            folder=self.folder,
            hq_url=self.hq_url,
            clip=self.clip,
            ports=self.ports,
            tell=tell,
        )
        async with store.running() as places, control.listening(self.folder, store):
            self._write_store_file(places)
            lines = await _stdin_lines() if self.held else None
            if lines is not None and not await lines.readline():
                return
            await store.visit()
            if lines is not None:
                await lines.read()

    def _write_store_file(self, places: Places) -> None:
        path = self.folder / "store.yaml"
        files = AgentFiles(self.folder / "var", self.token_file, self.edge_port)
        path.write_text(store_yaml(self.scenario, places, files), encoding="utf-8")
        facts: dict[str, Any] = {"store": self.scenario.store.id, "seed": self.seed, "store_file": str(path)}
        facts |= {"ports": dict(places.ports), "camera": places.camera_source, "uplink": places.uplink_url}
        facts |= {"truth": None if self.truth is None else str(self.truth)}
        if self.shows_line:
            entries = [device_entry(self.scenario, one, places) for one in self.scenario.equipment]
            facts |= {"devices": [entry for entry in entries if entry is not None]}
        if places.broker is not None:
            facts |= {"mqtt": places.broker.url, "broker": places.broker.name}
        self._say("ready", facts)

    def _say_record(self, record: AnyRecord) -> None:
        match record:
            case Opened():
                self._say("opened", {"store": record.store})
            case LineChanged():
                self._say("line", {"state": record.state})
            case FaultChanged():
                facts = {"fault": record.fault, "devices": record.devices, "state": record.state}
                self._say("fault", facts)
            case ItemsDelivered():
                self._say("delivery", {"gtin": record.gtin, "n": record.quantity})
            case Closed():
                self._say("closed", {})
            case ItemsMoved() if not self.as_json:
                across = ", ".join(f"{name} ({grams:.0f} g)" for name, grams in record.across.items())
                moved: dict[str, Any] = {
                    "facing": record.facing,
                    "n": record.quantity,
                    "left": record.on_hand,
                }
                self._say(record.cause, moved | ({"across": across} if across else {}))
            case Crossed() if not self.as_json:
                self._say(record.direction, {"line": record.line})
            case BagChanged() if not self.as_json:
                self._say(f"bag {record.state}", {"facing": record.facing, "g": round(record.weight_g)})
            case ShopperLeft() if not self.as_json and record.items:
                self._say("paid" if record.paid else "stolen", {"items": sum(record.items.values())})
            case _:
                pass  # truth stays in its file where a program listens

    def _say(self, what: str, facts: dict[str, Any]) -> None:
        if self.as_json:
            print(json.dumps({"event": what, **facts}, ensure_ascii=False), flush=True)  # noqa: T201  # the result
            return
        console = Console(highlight=False)
        if what != "ready":
            console.print(f"{what:10}" + "  ".join(f"{key} {value}" for key, value in facts.items()))
            return
        console.print(f"store {facts['store']}   seed {facts['seed']}   (Ctrl-C to stop)")
        for name, value in list(facts["ports"].items())[:_SHOWN]:
            console.print(f"  {name:16} {value}", soft_wrap=True)
        if len(facts["ports"]) > _SHOWN:
            console.print(f"  and {len(facts['ports']) - _SHOWN} more")
        for name in ("mqtt", "camera", "uplink", "truth"):
            if facts.get(name):
                console.print(f"  {name:16} {facts[name]}")
        for entry in facts.get("devices", []):
            line = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=10_000).strip()
            console.print(f"\nFor store.yaml:\n  - {line}", soft_wrap=True, markup=False)
        console.print(f"\nAn agent for it:  edge-agent run -c {facts['store_file']}", soft_wrap=True)
        console.print("While it runs:    device-sims fault --help, device-sims move --help\n")


async def _stdin_lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader
