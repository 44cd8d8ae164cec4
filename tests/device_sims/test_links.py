"""The wires: bytes pass unchanged, and a pulled cable looks like one."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest
import serial

from device_sims.links import PtyLink, TcpLink, plugged_in


class Echo:
    """A device that greets, and sends back what it got."""

    def __init__(self) -> None:
        self.greetings = 0
        self.says = b""

    def power_on(self) -> bytes:
        self.greetings += 1
        return b"hello\r\n"

    def feed(self, received: bytes) -> bytes:
        return received

    def tick(self) -> bytes:
        said, self.says = self.says, b""
        return said


async def read(port: serial.Serial, size: int) -> bytes:
    return await asyncio.to_thread(port.read, size)


async def ask(port: serial.Serial, command: bytes) -> bytes:
    port.write(command)
    return await read(port, len(command))


async def test_a_pty_passes_every_byte_unchanged_both_ways(tmp_path: Path) -> None:
    link = PtyLink(Echo(), tmp_path / "tty" / "scale")
    async with plugged_in(link):
        with serial.Serial(link.address, timeout=5) as port:
            every = bytes(range(256))
            port.write(every)
            assert await read(port, 256) == every
    assert not (tmp_path / "tty" / "scale").is_symlink()


async def test_what_the_device_says_by_itself_arrives(tmp_path: Path) -> None:
    echo = Echo()
    link = PtyLink(echo, tmp_path / "scale")
    async with plugged_in(link):
        with serial.Serial(link.address, timeout=5) as port:
            echo.says = b"by myself"
            assert await read(port, 9) == b"by myself"


async def test_unplugging_hangs_up_and_replugging_is_another_tty_behind_the_same_name(tmp_path: Path) -> None:
    echo = Echo()
    link = PtyLink(echo, tmp_path / "scale")
    async with plugged_in(link):
        with serial.Serial(link.address, timeout=5) as port:
            assert await ask(port, b"SI") == b"SI"
            await link.unplug()
            with pytest.raises(serial.SerialException):
                serial.Serial(link.address)
            with pytest.raises((serial.SerialException, OSError)):
                await read(port, 1)
        await link.unplug()
        # Something else takes the old number, as on a real machine.
        squatters = os.openpty()
        await link.replug()
        await link.replug()
        with serial.Serial(link.address, timeout=5) as port:
            assert await ask(port, b"SI") == b"SI"
        for squatter in squatters:
            os.close(squatter)
    assert echo.greetings == 2


async def test_a_full_wire_loses_bytes_instead_of_blocking_the_store(tmp_path: Path) -> None:
    echo = Echo()
    link = PtyLink(echo, tmp_path / "scale")
    async with plugged_in(link):
        for _ in range(200):
            echo.says = b"x" * 1000
            link.tick()
        with serial.Serial(link.address, timeout=5) as port:
            assert await ask(port, b"SI") == b"SI"


async def test_tcp_breaks_on_unplug_and_comes_back_on_the_same_port() -> None:
    link = TcpLink(Echo())
    async with plugged_in(link), asyncio.timeout(10):
        port = int(link.address.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"SI\r\n")
        assert await reader.readexactly(4) == b"SI\r\n"
        await link.unplug()
        with contextlib.suppress(ConnectionError):  # a reset is as good a break as an end
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await link.replug()
        assert link.address.endswith(f":{port}")
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()


@pytest.mark.parametrize("rounds", range(7))
async def test_who_is_just_being_accepted_is_hung_up_on_too(rounds: int) -> None:
    """However far asyncio has come with the connection when the cable is pulled."""
    link = TcpLink(Echo())
    await link.replug()
    host, _, port = link.address.removeprefix("socket://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        for _ in range(rounds):
            await asyncio.sleep(0)
        await link.unplug()
        assert await asyncio.to_thread(received_at_the_end, client) == b""


def received_at_the_end(client: socket.socket) -> bytes:
    """Nothing, when the other side hung up; TimeoutError when it holds the connection."""
    with contextlib.suppress(ConnectionResetError):
        return client.recv(64)
    return b""
