"""What a device says now: through the running agent or, where none runs, from the device itself."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from edge_agent.config.devices import Device, MqttDevice
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import AgentUnreachable, ConfigError, DeviceError
from edge_agent.drivers import Resources, make_driver, mqtt_states, mqtt_topics
from edge_agent.drivers.mqtt import MqttSession
from edge_agent.drivers.tap import Taps
from edge_agent.live.asking import lines_from
from edge_agent.live.audience import DeviceLost, Told, readings_follower
from edge_agent.live.follower import Follower
from edge_agent.live.recording import hearing, recordable
from edge_agent.readings import Reading
from edge_agent.supervisor import backoff_s

What = Literal["readings", "bytes"]
Tell = Callable[[Sequence[Told]], None]


def _nobody() -> None:
    """Nobody counts the pieces."""


def device_named(settings: StoreSettings, name: str) -> Device:
    """The configured device; ConfigError, with the known ids, when there is none of this name."""
    found = next((device for device in settings.devices if device.id == name), None)
    if found is None:
        known = ", ".join(device.id for device in settings.devices) or "none"
        raise ConfigError(f"there is no device {name!r}", hint=f"known: {known}")
    return found


@asynccontextmanager
async def following(settings: StoreSettings, name: str, what: What) -> AsyncIterator[AsyncIterator[bytes]]:
    """One device's JSON Lines, in pieces of one or several lines, until the block ends.

    The running agent is asked, since a port has one owner; where none answers, the real driver runs here.
    Raises ConfigError (no such device; a camera's bytes), DeviceError when the device cannot be reached,
    AgentUnreachable when the agent ends meanwhile.
    """
    device = device_named(settings, name)
    if what == "bytes":
        recordable(device)
    async with AsyncExitStack() as stack:
        try:
            asked = lines_from(settings.agent.http, f"/v1/devices/{name}/{what}")
            lines = await stack.enter_async_context(asked)
        except AgentUnreachable:
            lines = await stack.enter_async_context(_from_the_device(settings, device, what))
        yield lines


@asynccontextmanager
async def _from_the_device(
    settings: StoreSettings, device: Device, what: What
) -> AsyncIterator[AsyncIterator[bytes]]:
    taps = Taps()
    follow = _hear_readings() if what == "readings" else _hear_bytes(device, taps)
    with follow as (first, follower, tell):
        driving = asyncio.create_task(_drive(settings, device, taps, tell), name=f"device:{device.id}")
        driving.add_done_callback(lambda _: follower.wake())
        try:
            yield _until_it_ends(first, follower, driving)
        finally:
            driving.cancel()
            await asyncio.wait({driving})


@contextmanager
def _hear_readings() -> Iterator[tuple[bytes, Follower[Any], Tell]]:
    follower = readings_follower()

    def tell(told: Sequence[Told]) -> None:
        for item in told:
            follower.put(item)

    yield b"", follower, tell


@contextmanager
def _hear_bytes(device: Device, taps: Taps) -> Iterator[tuple[bytes, Follower[Any], Tell]]:
    with hearing(device, taps) as (header, follower):
        yield header, follower, lambda _told: None


async def _until_it_ends(
    first: bytes, follower: Follower[Any], driving: asyncio.Task[None]
) -> AsyncIterator[bytes]:
    if first:
        yield first
    while True:
        lines = await follower.lines()
        if lines:
            yield lines
        elif driving.done():
            driving.result()
            return


async def _drive(settings: StoreSettings, device: Device, taps: Taps, tell: Tell) -> None:
    """Run the real driver; DeviceError when the first try fails, later ones are told and tried again."""
    reached = False

    async def emit(readings: Sequence[Reading]) -> None:
        nonlocal reached
        reached = True
        tell(readings)

    attempt = 0
    async with _resources(settings, device, taps) as resources:
        while True:
            try:
                await make_driver(device, resources).run(emit)
            except DeviceError as error:
                if not reached:
                    raise
                tell([DeviceLost(device.id, str(error))])
            attempt += 1
            await asyncio.sleep(backoff_s(attempt, longest_s=5.0))


@asynccontextmanager
async def _resources(settings: StoreSettings, device: Device, taps: Taps) -> AsyncIterator[Resources]:
    """What the driver needs. The broker sees an onlooker with an id of its own, not the agent's session."""
    if not isinstance(device, MqttDevice) or settings.mqtt is None:
        yield Resources(taps=taps)
        return
    if settings.mqtt.url == "embedded":
        raise ConfigError("mqtt.url is embedded: the broker runs inside the agent", hint="start the agent")
    session = MqttSession(
        settings.mqtt,
        store=settings.store.id,
        topics=mqtt_topics([device]),
        states=mqtt_states([device]),
        client_id=f"shelf-edge-look-{secrets.token_hex(4)}",
        kept=False,
        taps=taps,
    )
    running = asyncio.create_task(session.run(), name="mqtt")
    try:
        yield Resources(mqtt=session, taps=taps)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def show(settings: StoreSettings, name: str, print_lines: Callable[[bytes], None]) -> None:
    """Every line of `watch`, one or several at once, until cancelled. Raises as `following`.

    They are printed in a thread: who reads them may stall, which holds up neither the device nor the end.
    """
    async with following(settings, name, "readings") as pieces:
        async for piece in pieces:
            await asyncio.to_thread(print_lines, piece)


async def record(
    settings: StoreSettings, name: str, file: Path, *, force: bool, wrote: Callable[[], object] = _nobody
) -> None:
    """Every line of `record` into `file`, each handed to the system at once, until cancelled.

    `wrote` is told of each piece; before the first one there is no file, and an older one stays as it is.
    Raises as `following`, and ConfigError when the file cannot be written or is there already.
    """
    recordable(device_named(settings, name))
    _may_be_written(file, force=force)
    async with AsyncExitStack() as stack:
        pieces = await stack.enter_async_context(following(settings, name, "bytes"))
        header, out = await anext(pieces), None
        async for piece in pieces:
            if out is None:
                out = stack.enter_context(_new_file(file, force=force))
                _write(out, header)
            _write(out, piece)
            for _ in range(piece.count(b"\n")):
                wrote()


def _may_be_written(file: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise ConfigError(f"{file} is there already", hint="choose another name, or --force")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ConfigError(f"{file}: cannot be written", hint="choose a folder that this user may write to")


def _new_file(file: Path, *, force: bool) -> FileIO:
    try:
        return FileIO(file, "w" if force else "x")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error


def _write(out: FileIO, piece: bytes) -> None:
    try:
        while piece:  # a disk takes what it still has room for
            piece = piece[out.write(piece) :]
    except OSError as error:
        raise ConfigError(f"{out.name}: cannot be written: {error.strerror}", hint="free space") from error


async def until(stop: asyncio.Event, work: Coroutine[Any, Any, None], seconds: float | None = None) -> None:
    """Let `work` run until it ends, `stop` is set or the time is over; raises what it raised."""
    task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
