"""Bytes to and from a device: a serial port, or TCP to a port server (`socket://host:port`).

The port's file descriptor lives in the event loop; nothing blocks it, since only opening a tty may take
long and does so in a thread. A symbolic link (`/dev/serial/by-id/…`) is followed at every open.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import termios
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from serial import Serial, SerialException, serial_for_url

from edge_agent.config.devices import SerialDevice
from edge_agent.contract.errors import DeviceError, LinkDenied, LinkLost
from edge_agent.drivers.port import absent_hint, held_hint
from edge_agent.drivers.tap import Heard, Tap, deaf

CONNECT_TIMEOUT_S = 5.0
OPEN_TIMEOUT_S = 4.0
"""How long a tty may take to open until it counts as lost. Its thread cannot be ended: the next try takes
over what this one has begun, so that a slow port opens in the end and a wedged one costs one thread."""
WRITE_TIMEOUT_S = 3.0
BUFFER_LIMIT = 64 * 1024
"""Bytes kept for a slow reader; beyond it the port itself is left to wait (back-pressure)."""

_CHUNK = 4096
_AGAIN = (errno.EAGAIN, errno.EINTR)
_TIOCGEXCL = 0x80045440
"""Linux, asm-generic/ioctls.h: is the terminal in exclusive mode?"""
_PTY_MAJORS = range(136, 144)
"""Linux, admin-guide/devices.txt: Unix98 PTY slaves."""

_hanging: dict[tuple[str, int, str], asyncio.Future[Serial]] = {}
"""Openings that have not returned yet."""


@asynccontextmanager
async def open_link(
    port: str, baudrate: int = 9600, *, serial_format: str = "8N1", tap: Tap = deaf
) -> AsyncIterator[Link]:
    """A link over `port`, held exclusively and closed on the way out.

    `serial_format` (data bits, parity, stop bits) counts where the port is a real serial one: a pty and a
    port server carry all 8 bits, so framers of 7-bit protocols mask the last one.
    Raises LinkDenied when this user may not have the port or another program holds it, LinkLost when
    it is absent or does not answer; both carry a hint.
    """
    is_tcp = port.startswith("socket://")
    opened = await (_open_tcp(port) if is_tcp else _open_tty(port, baudrate, serial_format))
    link = Link(port, opened.fileno(), tap)
    try:
        yield link
    finally:
        link.detach()
        if isinstance(opened, Serial):
            _let_go(opened)
        opened.close()


def device_link(settings: SerialDevice, tap: Tap = deaf) -> AbstractAsyncContextManager[Link]:
    """The link of a configured device; as `open_link`."""
    return open_link(settings.port, settings.baudrate, serial_format=settings.serial_format, tap=tap)


class Link:
    """An open link. Lost once, it stays lost: read and write raise LinkLost and a new one is opened."""

    def __init__(self, port: str, fd: int, tap: Tap = deaf) -> None:
        self._port, self._fd, self._tap = port, fd, tap
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._changed = asyncio.Event()
        self._reading = False
        self._writable = asyncio.Event()
        self._lost: str | None = None
        self._listen()

    async def read(self) -> bytes:
        """All bytes that have arrived, at least one. Cancelling it loses nothing.

        Raises LinkLost when the device is gone and everything that it sent has been read.
        """
        while not self._received:
            self._check()
            self._changed.clear()
            await self._changed.wait()
        return self.read_nowait()

    def read_nowait(self) -> bytes:
        """The bytes that have arrived, perhaps none."""
        chunk = bytes(self._received)
        self._received.clear()
        if not self._reading and self._lost is None:
            self._listen()
        return chunk

    async def write(self, chunk: bytes) -> None:
        """Hand all of `chunk` to the operating system; LinkLost when the device takes no bytes for 3 s."""
        self._tap(Heard("out", chunk))
        rest = memoryview(chunk)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                while rest:
                    self._check()
                    rest = rest[self._write_some(rest) :]
                    if rest:
                        self._writable.clear()
                        self._loop.add_writer(self._fd, self._writable.set)
                        await self._writable.wait()
        except TimeoutError:
            raise LinkLost(
                f"{self._port} takes no bytes", hint="check the cable, the baud rate and the flow control"
            ) from None
        finally:
            self._loop.remove_writer(self._fd)

    def detach(self) -> None:
        """Leave the event loop; the descriptor is closed by who opened it."""
        self._mute()
        self._loop.remove_writer(self._fd)

    def _listen(self) -> None:
        self._loop.add_reader(self._fd, self._arrived)
        self._reading = True

    def _mute(self) -> None:
        self._loop.remove_reader(self._fd)
        self._reading = False

    def _arrived(self) -> None:
        try:
            chunk = os.read(self._fd, _CHUNK)
        except OSError as error:
            if error.errno in _AGAIN:
                return
            # A pulled USB adapter and a closed pty answer EIO, a dead TCP peer ECONNRESET or ETIMEDOUT.
            self._lose(error.strerror or str(error))
            return
        if not chunk:
            self._lose("the other side hung up")
            return
        self._tap(Heard("in", chunk))
        self._received += chunk
        self._changed.set()
        if len(self._received) >= BUFFER_LIMIT:
            self._mute()

    def _lose(self, why: str) -> None:
        self._lost = why
        self.detach()
        self._changed.set()
        self._writable.set()

    def _check(self) -> None:
        if self._lost is not None:
            hint = "check plug, cable and power; the port is opened again by itself"
            raise LinkLost(f"{self._port} is gone: {self._lost}", hint=hint)

    def _write_some(self, rest: memoryview) -> int:
        try:
            return os.write(self._fd, rest)
        except OSError as error:
            if error.errno in _AGAIN:
                return 0
            self._lose(error.strerror or str(error))
            self._check()
            raise


async def _open_tty(port: str, baudrate: int, serial_format: str) -> Serial:
    # inter_byte_timeout=0 sets VMIN to 1: then "nothing there" reads as EAGAIN and only a hang-up as empty.
    options: dict[str, Any] = {"timeout": 0, "write_timeout": 0, "inter_byte_timeout": 0, "exclusive": True}
    options |= _serial_options(baudrate, serial_format)
    wanted = (port, baudrate, serial_format)
    opening = _hanging.pop(wanted, None) or asyncio.ensure_future(
        asyncio.to_thread(_claim_tty, port, options)
    )
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            return await asyncio.shield(opening)
    except TimeoutError:
        _hanging[wanted] = opening
        raise LinkLost(
            f"{port} does not open: its adapter hangs", hint="pull its plug and put it back"
        ) from None
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(opening: asyncio.Future[Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _claim_tty(port: str, options: dict[str, Any]) -> Serial:
    try:
        opened = _open_as_told(port, options)
    except (SerialException, OSError, ValueError, termios.error) as error:
        raise _refused(port, error) from error
    try:
        _keep_others_out(opened.fileno())
    except OSError as error:
        opened.close()
        raise _refused(port, error) from error
    return opened


def _open_as_told(port: str, options: dict[str, Any]) -> Serial:
    """The port with its serial format, or with 8 bits where it knows nothing else.

    A pty keeps 8 bits without parity whatever it is told. The C library calls that an error (EINVAL) when
    no other setting changes, so at the second opening only. 7 bits and a parity bit are 8 bits on the wire.
    """
    try:
        return serial_for_url(port, **options)
    except termios.error:
        seven_and_parity = options["bytesize"] == 7 and options["parity"] != "N"
        if not (seven_and_parity or os.major(Path(port).stat().st_rdev) in _PTY_MAJORS):
            raise
        return serial_for_url(port, **options | {"bytesize": 8, "parity": "N"})


def _keep_others_out(fd: int) -> None:
    """Respect and set the terminal's exclusive mode; the advisory lock (flock) is held already.

    A pty stays exclusive for as long as its other end keeps it open, even when we are killed: there the
    lock has to do. The mode does not stop root, who has to ask.
    """
    if any(fcntl.ioctl(fd, _TIOCGEXCL, bytes(4))):
        raise BlockingIOError(errno.EBUSY, "in exclusive mode")
    if os.major(os.fstat(fd).st_rdev) not in _PTY_MAJORS:
        fcntl.ioctl(fd, termios.TIOCEXCL)


def _serial_options(baudrate: int, serial_format: str) -> dict[str, Any]:
    bits, parity, stop = tuple(serial_format)
    return {"baudrate": baudrate, "bytesize": int(bits), "parity": parity, "stopbits": int(stop)}


def _refused(port: str, error: Exception) -> DeviceError:
    reason = getattr(error, "errno", None)
    if reason in (errno.EACCES, errno.EPERM):
        return LinkDenied(
            f"{port} may not be opened by this user",
            hint="add the user to the group of the port (dialout on Debian) and log in again",
        )
    if reason in (errno.EAGAIN, errno.EBUSY):
        return LinkDenied(f"{port} is held by another program", hint=held_hint(port))
    if reason in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return LinkLost(f"{port} is absent", hint=absent_hint(port))
    return LinkLost(f"{port} cannot be opened: {error}", hint="is it a serial port or socket://host:port?")


def _let_go(port: Serial) -> None:
    # Closing a tty waits up to 30 s for unsent bytes when the device holds the line.
    with suppress(OSError, termios.error):  # gone devices have no output left
        termios.tcflush(port.fileno(), termios.TCOFLUSH)
        fcntl.ioctl(port.fileno(), termios.TIOCNXCL)


async def _open_tcp(url: str) -> socket.socket:
    hint = "check address, power and network of the port server"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LinkLost(f"{url} is no address: {error}", hint="write socket://host:port") from error
    if not host or port is None:
        raise LinkLost(f"{url} is no address", hint="write socket://host:port")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await _connect(host, port)
    except TimeoutError:
        raise LinkLost(f"{url} does not answer", hint=hint) from None
    except OSError as error:
        raise LinkLost(f"{url} cannot be reached: {error.strerror or error}", hint=hint) from error


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"no address for {host}")
    for family, kind, protocol, _, address in await _addresses(host, port):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            _notice_silence(opened)
            await loop.sock_connect(opened, address)
        except OSError as error:
            opened.close()
            failure = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise failure


async def _addresses(host: str, port: int) -> list[tuple[Any, ...]]:
    """Where `host` is. A number is not looked up: name servers may be down, and a look-up takes a thread."""
    with suppress(ValueError):
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _notice_silence(opened: socket.socket) -> None:
    """Let the kernel find a peer that vanished without a word, about 20 s after its last sign of life."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 10),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 2),
        ("TCP_USER_TIMEOUT", 20_000),
    ):
        if hasattr(socket, name):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
