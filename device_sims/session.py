"""`device-sims run`: one simulated store from power-on to closing, told on stdout as it goes."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from device_sims.processes import Interrupted, until_stopped
from device_sims.scenario import Scenario
from device_sims.store import Clip, SimulatedStore
from device_sims.store_file import AgentFiles, Places, store_yaml
from device_sims.truth import (
    AnyRecord,
    CableChanged,
    Closed,
    Crossed,
    ItemsMoved,
    LineChanged,
    Opened,
    TruthFile,
)
from edge_agent.contract.errors import ConfigError


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
    held: bool = False
    as_json: bool = False

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
            tell=tell,
        )
        async with store.running() as places:
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
        facts |= {"scales": places.scales, "camera": places.camera_source, "uplink": places.uplink_url}
        facts |= {"truth": None if self.truth is None else str(self.truth)}
        if places.broker is not None:
            facts |= {"mqtt": places.broker.url, "broker": places.broker.name}
        self._say("ready", facts)

    def _say_record(self, record: AnyRecord) -> None:
        match record:
            case Opened():
                self._say("opened", {"store": record.store})
            case LineChanged():
                self._say("line", {"state": record.state})
            case CableChanged():
                self._say("cable", {"device": record.device, "state": record.state})
            case Closed():
                self._say("closed", {})
            case ItemsMoved() if not self.as_json:
                self._say(
                    record.cause, {"facing": record.facing, "n": record.quantity, "left": record.on_hand}
                )
            case Crossed() if not self.as_json:
                self._say(record.direction, {"line": record.line})
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
        for name, value in facts["scales"].items():
            console.print(f"  {name:16} {value}")
        for name in ("mqtt", "camera", "uplink", "truth"):
            if facts.get(name):
                console.print(f"  {name:16} {facts[name]}")
        console.print(f"\nAn agent for it:  edge-agent run -c {facts['store_file']}\n", soft_wrap=True)


async def _stdin_lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader
