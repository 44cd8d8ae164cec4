"""`device-sims demo`: a simulated store, an agent and HQ as three processes, a cut line, a score."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import aiohttp
from rich.console import Console

from device_sims.equipment import DoorCamera, TagReader, Weighing
from device_sims.hq import Hq, reading_hq
from device_sims.processes import Interrupted, child_process, free_port, until_stopped
from device_sims.scenario import Scenario
from device_sims.score import score_at_hq
from device_sims.show import print_score
from device_sims.store import Clip
from edge_agent.contract.errors import ConfigError, DeviceError, HqUnreachable, SyncError

_WORDS: dict[type, str] = {
    **dict.fromkeys(get_args(Weighing), "scale"),
    **dict.fromkeys(get_args(TagReader), "RFID reader"),
    DoorCamera: "camera",
}
_STARTS_WITHIN_S = 60.0
_QUIET_WITHIN_S = 30.0
_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Demo:
    """What to show. `run` says so on a console and returns whether the store was seen right."""

    scenario: Scenario
    scenario_name: str
    seed: int
    keep: Path | None = None
    clip: Clip | None = None
    hq_port: int = 8780
    edge_port: int = 8787

    async def run(self, console: Console) -> bool:
        """Play, score, stop everything that was started. False also when interrupted; raises our errors."""
        folder = await asyncio.to_thread(self._fresh_folder)
        try:
            return await until_stopped(_Stage(self, folder, console).play())
        except Interrupted:
            console.print("stopped before the end: no score")
            return False
        finally:
            if self.keep is None:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _fresh_folder(self) -> Path:
        if self.keep is None:
            return Path(tempfile.mkdtemp(prefix="shelf-edge-demo-"))
        self.keep.mkdir(parents=True, exist_ok=True)
        if any(self.keep.iterdir()):
            raise ConfigError(f"{self.keep} is not empty", hint="--keep takes a new or an empty folder")
        return self.keep


class _Stage:
    """One demo under way."""

    def __init__(self, demo: Demo, folder: Path, console: Console) -> None:
        self._demo, self._folder, self._console = demo, folder, console
        self._store = demo.scenario.store.id
        self._hq_port, self._edge_port = free_port(demo.hq_port), free_port(demo.edge_port)
        self._hq_url = f"http://127.0.0.1:{self._hq_port}"
        self._edge_url = f"http://127.0.0.1:{self._edge_port}"
        self._truth = folder / "truth.jsonl"
        self._opened_s: float | None = None

    async def play(self) -> bool:
        scenario = self._demo.scenario
        kinds = Counter(_WORDS[type(one)] for one in scenario.equipment if type(one) in _WORDS)
        counted = "   ".join(f"{n} {word}{'s' if n > 1 else ''}" for word, n in kinds.items())
        self._console.print(
            f"store {self._store}   {len(scenario.facings)} facings   {counted}   seed {self._demo.seed}"
        )
        async with AsyncExitStack() as stack:
            token, link = await self._start_hq(stack)
            hq = await stack.enter_async_context(reading_hq(self._hq_url, token))
            store = await stack.enter_async_context(self._start_store())
            self._console.print(f"HQ   {self._hq_url}    edge {self._edge_url}    (Ctrl-C to stop)")
            self._console.print(f"log in once with  {link}\n", soft_wrap=True)
            agent = await stack.enter_async_context(self._start("edge_agent", self._folder / "store.yaml"))
            await self._all_seen(hq, agent)
            await self._show(store)
            await self._come_to_rest(hq)
            result = await score_at_hq(self._hq_url, token, self._truth)
        print_score(self._console, result)
        if self._demo.keep is not None:
            self._console.print(f"files in {self._folder}", soft_wrap=True)
        return result.passed

    # --- starting ------------------------------------------------------------------------------

    async def _start_hq(self, stack: AsyncExitStack) -> tuple[str, str]:
        """HQ answers at its port; returns an API token and the one-time link of a person."""
        config = self._folder / "bridge.yaml"
        text = f"http: {{host: 127.0.0.1, port: {self._hq_port}}}\ndata_dir: ./hq\n"
        await asyncio.to_thread(config.write_text, text, encoding="utf-8")
        store = await self._bridge("store", "add", self._store)
        viewer = await self._bridge("token", "add", "demo", "--role", "viewer")
        person = await self._bridge("user", "add", "demo", "--role", "viewer")
        await asyncio.to_thread(_write_secret, self._folder / "store.token", store["token"])
        process = await stack.enter_async_context(self._start("cloud_bridge", config))
        await self._answers(f"{self._hq_url}/readyz", process)
        return str(viewer["token"]), str(person["url"])

    async def _bridge(self, *words: str) -> dict[str, Any]:
        command = [
            sys.executable,
            "-m",
            "cloud_bridge",
            *words,
            "--json",
            "-c",
            str(self._folder / "bridge.yaml"),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            said, complained = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            raise SyncError(f"cloud-bridge {' '.join(words)} failed: {complained.decode().strip()}")
        answer: dict[str, Any] = json.loads(said)
        return answer

    @asynccontextmanager
    async def _start(self, package: str, config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        command = [sys.executable, "-m", package, "run", "-c", str(config)]
        async with child_process(command, log=self._folder / f"{package}.log") as process:
            yield process

    @asynccontextmanager
    async def _start_store(self) -> AsyncIterator[asyncio.subprocess.Process]:
        demo = self._demo
        command = [sys.executable, "-m", "device_sims", "run", demo.scenario_name, "--hold", "--json"]
        command += ["--seed", str(demo.seed), "--seconds", str(demo.scenario.seconds)]
        command += [
            "--dir",
            str(self._folder),
            "--truth",
            str(self._truth),
            "--edge-port",
            str(self._edge_port),
        ]
        command += ["--hq", self._hq_url, "--token-file", str(self._folder / "store.token")]
        if demo.clip is not None:
            numbers = [f"{number:g}" for point in demo.clip.line for number in point]
            command += ["--video", str(demo.clip.path.resolve()), "--line", ",".join(numbers)]
        async with child_process(command, log=self._folder / "device_sims.log", talks=True) as process:
            ready = await self._next_event(process)
            if ready["event"] != "ready":
                raise DeviceError(f"the simulated store said {ready['event']!r} instead of being ready")
            yield process

    async def _next_event(self, store: asyncio.subprocess.Process) -> dict[str, Any]:
        line = await store.stdout.readline() if store.stdout is not None else b""
        if not line:
            raise DeviceError("the simulated store ended", hint=self._last_words("device_sims"))
        event: dict[str, Any] = json.loads(line)
        return event

    def _last_words(self, package: str) -> str:
        log = self._folder / f"{package}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        return f"its log ends with: {' | '.join(lines[-3:])}" if lines else "its log is empty"

    async def _answers(self, url: str, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while time.monotonic() < deadline and process.returncode is None:
                try:
                    async with session.get(url) as reply:
                        if reply.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass  # not yet: the loop's own deadline decides
                await asyncio.sleep(0.1)
        raise HqUnreachable(f"{url} does not answer", hint=self._last_words("cloud_bridge"))

    async def _all_seen(self, hq: Hq, agent: asyncio.subprocess.Process) -> None:
        """HQ has a count for every facing and every device is online: the doors may open."""
        wanted = {facing.id for facing in self._demo.scenario.facings}
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < deadline:
            if agent.returncode is not None:
                raise DeviceError("the agent ended", hint=self._last_words("edge_agent"))
            facings, _ = await hq.facings(self._store)
            counted = {facing.facing for facing in facings if facing.on_hand is not None}
            waiting = [d.device for d in await hq.devices(self._store) if d.status != "online"]
            if wanted <= counted and not waiting:
                return
            await asyncio.sleep(0.25)
        missing = ", ".join(sorted(wanted - counted) + waiting)
        raise DeviceError(f"HQ does not see all of the store: {missing}", hint=self._last_words("edge_agent"))

    # --- showing -------------------------------------------------------------------------------

    async def _show(self, store: asyncio.subprocess.Process) -> None:
        """Open the doors and tell what happens until the store has closed."""
        if store.stdin is None:
            raise DeviceError("the simulated store takes no commands")
        store.stdin.write(b"open\n")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(), name="watch the agent")
            while (event := await self._next_event(store))["event"] != "closed":
                self._tell(event)
            watching.cancel()
        self._line("store closed, shelves at rest")

    def _tell(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "opened"}:
                self._opened_s = time.monotonic()
                self._line("doors open: shoppers pick and put back, staff restock")
            case {"event": "line", "state": "cut"}:
                self._line("line to HQ cut in silence (fault)")
            case {"event": "line", "state": "back"}:
                self._line("line to HQ whole again")
            case {"event": "fault", "fault": fault, "devices": devices, "state": state}:
                which = (
                    f"{devices[0]}{f' and {len(devices) - 1} more' if len(devices) > 1 else ''}: "
                    if devices
                    else ""
                )
                self._line(f"{which}{fault} {state} (fault)")

    async def _watch(self) -> None:
        """What the agent says of its uplink: each change a line, on a terminal a running line between."""
        online, most = True, 0
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                status = await self._status(session)
                if status is not None:
                    rows, now_online = int(status["outbox"]["rows"]), bool(status["sync"].get("online"))
                    most = max(most, rows)
                    if now_online != online:
                        self._line(f"HQ BACK, up to {most} events had waited" if now_online else "HQ OFFLINE")
                        online, most = now_online, 0
                    self._running_line(f"{'HQ online' if online else 'HQ OFFLINE'}   outbox {rows}")
                await asyncio.sleep(_EVERY_S)

    async def _status(self, session: aiohttp.ClientSession) -> dict[str, Any] | None:
        try:
            async with session.get(f"{self._edge_url}/v1/status") as reply:
                status: dict[str, Any] = await reply.json()
                return status
        except (aiohttp.ClientError, TimeoutError):
            return None

    def _line(self, text: str) -> None:
        if self._console.is_terminal:
            self._console.print(" " * 60, end="\r")
        self._console.print(f"{self._clock()}  {text}")

    def _running_line(self, text: str) -> None:
        if self._console.is_terminal:
            self._console.print(f"{self._clock()}  {text:50}", end="\r", style="dim")

    def _clock(self) -> str:
        elapsed = 0 if self._opened_s is None else int(time.monotonic() - self._opened_s)
        return f"{elapsed // 60:02}:{elapsed % 60:02}"

    async def _come_to_rest(self, hq: Hq) -> None:
        """Wait until HQ has all that the agent has; a store that never gets there is scored as it is."""
        deadline = time.monotonic() + _QUIET_WITHIN_S
        while time.monotonic() < deadline:
            _, catching_up = await hq.facings(self._store)
            pending = next((s.pending for s in await hq.stores() if s.store == self._store), None)
            if not catching_up and pending == 0:
                return
            await asyncio.sleep(_EVERY_S)


def _write_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
