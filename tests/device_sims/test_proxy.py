"""The line to HQ: whole, silent, refused, and what it does to connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from device_sims.proxy import SLOW_S, Mode, UplinkProxy
from device_sims.proxy_thread import ProxyThread


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    tasks = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    if tasks:
        await asyncio.wait(tasks, timeout=5)


@asynccontextmanager
async def line() -> AsyncIterator[UplinkProxy]:
    async with echo_server() as port, UplinkProxy("127.0.0.1", port).running() as proxy, asyncio.timeout(10):
        yield proxy


async def swallowed(proxy: UplinkProxy, count: int) -> None:
    while proxy.swallowed_bytes < count:  # noqa: ASYNC110  # the proxy announces nothing, as a real cut
        await asyncio.sleep(0.01)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"ping\n")
    return await reader.readline()


async def test_a_whole_line_passes_bytes_and_the_end() -> None:
    async with line() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await ask(reader, writer) == b"ping\n"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_a_silent_cut_swallows_bytes_without_any_sign_and_the_connection_stays_dead() -> None:
    async with line() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await ask(reader, writer) == b"ping\n"
        await proxy.set_mode("silent")
        writer.write(b"lost\n")
        await swallowed(proxy, 5)
        new_reader, new_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        new_writer.write(b"lost too\n")
        await swallowed(proxy, 14)
        await proxy.set_mode("open")
        for dead in (writer, new_writer):
            dead.write(b"anyone?\n")
        await swallowed(proxy, 30)
        assert not reader.at_eof()
        assert not new_reader.at_eof()
        fresh = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await ask(*fresh) == b"ping\n"
        for each in (writer, new_writer, fresh[1]):
            each.close()


async def test_an_idle_connection_that_lost_nothing_lives_on() -> None:
    async with line() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await ask(reader, writer) == b"ping\n"
        await proxy.set_mode("silent")
        await proxy.set_mode("open")
        assert await ask(reader, writer) == b"ping\n"
        writer.close()


async def test_a_refused_line_breaks_connections_and_closes_the_port_until_it_is_back() -> None:
    async with line() as proxy:
        port = proxy.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await ask(reader, writer) == b"ping\n"
        await proxy.set_mode("refused")
        with contextlib.suppress(ConnectionError):  # a reset is as good a break as an end
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await proxy.set_mode("open")
        assert proxy.port == port
        fresh = await asyncio.open_connection("127.0.0.1", port)
        assert await ask(*fresh) == b"ping\n"
        fresh[1].close()


@pytest.mark.parametrize(
    ("mode", "reaches_hq"), [("reset", None), ("half_closed", True), ("truncated", True)]
)
async def test_a_cut_line_breaks_in_the_request_or_in_the_answer(mode: Mode, reaches_hq: bool | None) -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            heard.append(await reader.readexactly(10_000))
            writer.write(b"a" * 10_000)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, UplinkProxy("127.0.0.1", port).running() as proxy, asyncio.timeout(10):
        await proxy.set_mode(mode)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"q" * 10_000)
        got = b""
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(65536):
                got += part
        assert len(got) < 10_000
        assert bool(heard) is bool(reaches_hq)
        writer.close()


async def test_a_slow_line_is_whole_and_a_broken_box_answers_500() -> None:
    async with line() as proxy:
        await proxy.set_mode("slow")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        began = asyncio.get_running_loop().time()
        assert await ask(reader, writer) == b"ping\n"
        assert asyncio.get_running_loop().time() - began >= 2 * SLOW_S
        await proxy.set_mode("error_500")
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await ask(other_reader, other_writer) == b"HTTP/1.1 500 Internal Server Error\r\n"
        writer.close()
        other_writer.close()


async def test_a_line_on_a_thread_begins_in_its_mode_and_changes_before_the_call_returns() -> None:
    async with echo_server() as port:
        with ProxyThread("127.0.0.1", port, mode="refused") as line:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", line.proxy.port)
            await asyncio.to_thread(line.set, "open")
            reader, writer = await asyncio.open_connection("127.0.0.1", line.proxy.port)
            assert await ask(reader, writer) == b"ping\n"
            writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", line.proxy.port)
