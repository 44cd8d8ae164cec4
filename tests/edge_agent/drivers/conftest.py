"""Real ends of real links: a tiny MT-SICS scale on a pty, and mosquitto on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import shutil
import signal
import socket
import subprocess
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest

from edge_agent.readings import Reading


class Collected:
    """An `emit` that keeps the readings and lets a test wait for what it is about."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._changed = asyncio.Event()

    async def __call__(self, readings: Sequence[Reading]) -> None:
        self.readings += readings
        self._changed.set()

    async def until(self, condition: Callable[[list[Reading]], object], timeout: float = 10) -> None:
        async with asyncio.timeout(timeout):
            while not condition(self.readings):
                self._changed.clear()
                await self._changed.wait()


class PtyScale:
    """A scale as the manual's level 0 describes it, at the end of a pty behind a symbolic link."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.serial = "B021002593"
        self.weight = "S S     100.00 g"
        self.mute = False
        self.asked: list[str] = []
        self._heard = b""
        self._master = self._slave = -1

    def plug(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def unplug(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._slave)
            os.close(self._master)
            self.link.unlink(missing_ok=True)
            self._master = -1

    def say(self, text: str | bytes) -> None:
        os.write(self._master, text if isinstance(text, bytes) else text.encode() + b"\r\n")

    def answer(self, command: str) -> None:
        if command in ("@", "I4"):
            self.say(f'I4 A "{self.serial}"')
        elif command == "SI":
            self.say(self.weight)
        else:
            self.say("ES")

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self._heard += os.read(self._master, 4096)
        *commands, self._heard = self._heard.split(b"\r\n")
        for command in commands:
            self.asked.append(command.decode())
            if not self.mute:
                self.answer(command.decode())


class Mosquitto:
    """The broker of a test: loopback, a database of its own, no limit on what waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extra = ""
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        lines = (
            "user root",  # where it is started by root; else the folder of the test would be closed to it
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self.folder}/",
            "max_queued_messages 0",
            self.extra,
        )
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines))
        log = (self.folder / "mosquitto.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [_MOSQUITTO or "", "-c", str(configuration)], stdout=log, stderr=log
            )
        _wait_for_port(self.port, self._process)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None

    def publish(
        self, topic: str, payloads: Sequence[str | bytes], *, retain: bool = False, qos: int = 1
    ) -> None:
        """Publish and wait until the broker has taken all of them."""
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        sent = [client.publish(topic, payload, qos=qos, retain=retain) for payload in payloads]
        for one in sent:
            one.wait_for_publish(10)
        client.disconnect()
        client.loop_stop()


_MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, "mosquitto ended at once"
        time.sleep(0.01)
    raise AssertionError("mosquitto opened no port")


@pytest.fixture
def emitted() -> Collected:
    return Collected()


@pytest.fixture
async def scale(tmp_path: Path) -> AsyncIterator[PtyScale]:
    scale = PtyScale(tmp_path / "scale")
    scale.plug()
    yield scale
    scale.unplug()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    if _MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def running() -> Callable[..., contextlib.AbstractAsyncContextManager[asyncio.Task[None]]]:
    """`async with running(coroutine) as task`: cancelled on the way out, its own failure is raised."""

    @contextlib.asynccontextmanager
    async def run(coroutine: object) -> AsyncIterator[asyncio.Task[None]]:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)  # type: ignore[arg-type]
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return run


@pytest.fixture
def scripted_broker() -> Callable[..., contextlib.AbstractAsyncContextManager[SimpleNamespace]]:
    """`async with scripted_broker(packets, acks, …) as broker`: what no real broker does on demand."""
    return _scripted_broker


@contextlib.asynccontextmanager
async def _scripted_broker(
    packets: Sequence[bytes],
    acks: asyncio.Queue[int],
    *,
    version: int = 5,
    grant: int = 1,
    resumed: bool = False,
    then_silent: bool = False,
) -> AsyncIterator[SimpleNamespace]:
    """A broker's bytes as the standard has them: CONNACK, SUBACK, then `packets`; keeps the order of PUBACKs.

    It hangs up on a CONNECT of another version, as brokers before MQTT 5 may.
    """
    none = b"\0" if version == 5 else b""  # an empty list of properties

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            kind, length = await reader.readexactly(2)
            if length > 127:
                length += 128 * (await reader.readexactly(1))[0] - 128
            body = await reader.readexactly(length)
            if kind == 0x10 and body[6] != version:
                return
            if kind == 0x10:
                writer.write(bytes([0x20, 2 + len(none), resumed, 0]) + none)
            elif kind == 0x82:
                topics = body.count(b"rfid/") + body.count(b"probe")
                answer = body[:2] + none + bytes([grant]) * topics
                writer.writelines([bytes([0x90, len(answer)]) + answer, *packets])
            elif kind == 0x40:
                acks.put_nowait(int.from_bytes(body[:2], "big"))
            elif kind == 0xC0 and not then_silent:
                writer.write(b"\xd0\0")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await converse(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield SimpleNamespace(url=f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
