"""The store's MQTT broker: mosquitto where installed, else iotcore, else amqtt; never with its defaults."""

from __future__ import annotations

import asyncio
import base64
import getpass
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from device_sims.processes import child_process, free_port
from edge_agent.contract.errors import BrokerError

MAX_PAYLOAD_BYTES = 1024 * 1024
BrokerName = Literal["mosquitto", "iotcore", "amqtt"]
_READY_S = 10.0
_HASH_ROUNDS = 101
_IOTCORE = "import sys; from iotcore import Broker; Broker(config_path=sys.argv[1]).run_forever()"


@dataclass(frozen=True, slots=True)
class User:
    """A login at the broker."""

    name: str
    password: str


async def _never_started() -> None:
    raise BrokerError("this broker was never started")


@dataclass(slots=True)
class Broker:
    """A broker on loopback. `port` takes MQTT 5 where the broker can, `port_311` MQTT 3.1.1."""

    name: BrokerName
    port: int
    port_311: int
    agent: User
    reader: User
    agent_password_file: Path
    process: asyncio.subprocess.Process | None = None
    start: Callable[[], Awaitable[None]] = field(default=_never_started)
    """Start it again, on the same ports with the same files, after `kill`."""

    @property
    def url(self) -> str:
        """What to write as `mqtt.url` into the agent's settings."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that it is now."""
        return self.process.pid if self.process is not None else 0

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.returncode is None

    async def kill(self) -> None:
        """SIGKILL: what it had not written is gone."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


def available_brokers() -> list[BrokerName]:
    """The brokers that this machine has, best first."""
    found: list[BrokerName] = []
    if _mosquitto() is not None:
        found.append("mosquitto")
    if find_spec("iotcore") is not None:
        found.append("iotcore")
    if find_spec("amqtt") is not None:
        found.append("amqtt")
    return found


@asynccontextmanager
async def running_broker(folder: Path, *, name: BrokerName | None = None) -> AsyncIterator[Broker]:
    """A broker with its files in `folder`, ready for connections; stopped by its pid at the end.

    Without `name` the best available one. BrokerError when there is none or it does not start.
    """
    available = available_brokers()
    if not available or (name is not None and name not in available):
        raise BrokerError(
            f"no MQTT broker: {name or 'mosquitto, iotcore or amqtt'} is not installed",
            hint="install mosquitto from your system's packages, or `pip install 'shelf-edge[broker]'`",
        )
    chosen = name or available[0]
    agent, reader = User("agent", secrets.token_urlsafe(18)), User("reader", secrets.token_urlsafe(18))
    ports = (free_port(), free_port())
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    configure = {"mosquitto": _mosquitto_files, "iotcore": _iotcore_files, "amqtt": _amqtt_files}[chosen]
    command = configure(folder, (agent, reader), ports)
    password_file = folder / "agent.password"
    _write_secret(password_file, agent.password)
    log_path = folder / f"{chosen}.log"
    port_311 = ports[1] if chosen == "iotcore" else ports[0]
    broker = Broker(chosen, ports[0], port_311, agent, reader, password_file)
    async with AsyncExitStack() as stack:

        async def start() -> None:
            process = await stack.enter_async_context(child_process(command, log=log_path))
            await _accepting(chosen, process, ports[0], log_path)
            broker.process = process

        broker.start = start
        await start()
        yield broker


async def _accepting(name: str, process: asyncio.subprocess.Process, port: int, log_path: Path) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return
    except TimeoutError:
        raise BrokerError(
            f"{name} takes no connection after {_READY_S:.0f} s", hint=f"see {log_path}"
        ) from None
    raise BrokerError(f"{name} stopped at once with status {process.returncode}", hint=f"see {log_path}")


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _mosquitto_files(folder: Path, users: Sequence[User], ports: tuple[int, int]) -> list[str]:
    _write_secret(folder / "users", "".join(f"{user.name}:{_mosquitto_hash(user)}\n" for user in users))
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {ports[0]} 127.0.0.1\n"
        "allow_anonymous false\n"
        f"password_file {folder / 'users'}\n"
        f"user {getpass.getuser()}\n"
        "persistence true\n"
        f"persistence_location {folder}/\n"
        f"max_packet_size {MAX_PAYLOAD_BYTES}\n"
        "max_queued_messages 100000\n"
        "log_dest stderr\n",
        encoding="utf-8",
    )
    return [_mosquitto() or "mosquitto", "-c", str(config)]


def _mosquitto_hash(user: User) -> str:
    """`$7$rounds$salt$hash`, PBKDF2 over SHA-512, as `mosquitto_passwd` writes it."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", user.password.encode(), salt, _HASH_ROUNDS)
    return f"$7${_HASH_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _iotcore_files(folder: Path, users: Sequence[User], ports: tuple[int, int]) -> list[str]:
    lines = ["id = 0", "[router]", "id = 0", "max_connections = 100", "max_outgoing_packet_count = 200"]
    lines += ["max_segment_size = 104857600", "max_segment_count = 10"]
    for version, port in (("v5", ports[0]), ("v4", ports[1])):
        lines += [f"[{version}.1]", f'name = "{version}"', f'listen = "127.0.0.1:{port}"']
        lines += [
            "next_connection_delay_ms = 1",
            f"[{version}.1.connections]",
            "connection_timeout_ms = 60000",
        ]
        lines += [
            f"max_payload_size = {MAX_PAYLOAD_BYTES}",
            "max_inflight_count = 100",
            "dynamic_filters = true",
        ]
        lines += [f"[{version}.1.connections.auth]"]
        lines += [f"{user.name} = {json.dumps(user.password)}" for user in users]
    config = folder / "iotcore.toml"
    _write_secret(config, "\n".join(lines) + "\n")
    return [sys.executable, "-P", "-c", _IOTCORE, str(config)]


def _amqtt_files(folder: Path, users: Sequence[User], ports: tuple[int, int]) -> list[str]:
    # pwdlib comes with amqtt, which reads these hashes; neither is installed where iotcore has a wheel.
    from pwdlib.hashers.argon2 import (  # type: ignore[import-not-found,unused-ignore]
        Argon2Hasher,
    )

    hashes = "".join(f"{user.name}:{Argon2Hasher().hash(user.password)}\n" for user in users)
    _write_secret(folder / "users", hashes)
    config = folder / "amqtt.yaml"
    file_login = "amqtt.plugins.authentication.FileAuthPlugin"
    config.write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{ports[0]}\n    max_connections: 100\n"
        f"plugins:\n  {file_login}:\n    password_file: {folder / 'users'}\n",
        encoding="utf-8",
    )
    return [sys.executable, "-P", "-m", "amqtt.scripts.broker_script", "-c", str(config)]


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
