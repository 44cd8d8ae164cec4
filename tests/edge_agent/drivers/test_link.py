"""Links on real ptys and real sockets: every way to be absent, refused, full or lost."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.errors import LinkDenied, LinkLost
from edge_agent.drivers import link as link_module
from edge_agent.drivers.link import BUFFER_LIMIT, open_link


async def collect(link: Any, size: int) -> bytes:
    received = b""
    async with asyncio.timeout(10):
        while len(received) < size:
            received += await link.read()
    return received


def open_descriptors() -> set[str]:
    return {f"{entry.name}:{entry.resolve()}" for entry in Path("/proc/self/fd").iterdir()}


async def test_all_256_byte_values_pass_both_ways(scale: Any) -> None:
    every = bytes(range(256))
    loop = asyncio.get_running_loop()
    loop.remove_reader(scale._master)
    async with open_link(str(scale.link)) as link:
        os.write(scale._master, every)
        assert await collect(link, 256) == every
        await link.write(every)
        assert os.read(scale._master, 1024) == every


async def test_nothing_stays_behind_a_closed_link(scale: Any) -> None:
    async with open_link(str(scale.link)):
        pass  # the executor's thread now exists
    descriptors, threads = open_descriptors(), threading.active_count()
    for _ in range(20):
        async with open_link(str(scale.link)) as link:
            await link.write(b"x")
    assert len(open_descriptors()) < len(descriptors) + 20  # other tests' leftovers may come and go
    assert threading.active_count() < threads + 10  # asyncio's own pool may grow, the link keeps none


async def test_a_port_is_held_by_one_program_only(scale: Any) -> None:
    async with open_link(str(scale.link)):
        with pytest.raises(LinkDenied, match="held by another program") as raised:
            async with open_link(str(scale.link)):
                pass
    assert "another device of this configuration has it" in raised.value.hint


_HOLD = """
import fcntl, os, sys, termios
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(fd, termios.TIOCEXCL) if sys.argv[2] == "exclusive" else fcntl.flock(fd, fcntl.LOCK_EX)
print("holding", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("manner", ["exclusive", "lock"])
async def test_a_port_that_another_program_holds_is_denied_and_the_program_named(
    scale: Any, manner: str
) -> None:
    """By the terminal's exclusive mode, which does not stop root, or by the advisory lock."""
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLD, str(scale.link), manner, stdin=PIPE, stdout=PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"holding\n"
    with pytest.raises(LinkDenied, match="held by another program") as raised:
        async with open_link(str(scale.link)):
            pass
    assert f"(process {other.pid})" in raised.value.hint
    other.terminate()
    await other.wait()
    scale.unplug()
    scale.plug()
    async with open_link(str(scale.link)):
        pass


@pytest.mark.parametrize("serial_format", ["7E1", "7O2", "7N1", "8E1", "8N1"])
async def test_a_pty_of_any_serial_format_is_opened_again_and_again(scale: Any, serial_format: str) -> None:
    for _ in range(3):
        async with open_link(str(scale.link), serial_format=serial_format) as link:
            os.write(scale._master, b"\xb7")
            assert await collect(link, 1) == b"\xb7"


async def test_an_absent_port_is_lost_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(LinkLost, match="is absent") as raised:
        async with open_link(str(tmp_path / "ttyUSB9")):
            pass
    assert "/dev/serial/by-id" in raised.value.hint


async def test_an_absent_name_is_answered_with_the_one_that_was_meant(scale: Any) -> None:
    scale.link.with_name("usb-FTDI_FT232R_A50285BI-if00").symlink_to(scale.link.readlink())
    for name, hint in (("usb-FTDI_FT232R_A50285B1-if00", "did you mean"), ("ttyS9", "there is")):
        with pytest.raises(LinkLost, match="is absent") as raised:
            async with open_link(str(scale.link.with_name(name))):
                pass
        assert hint in raised.value.hint
        assert "usb-FTDI_FT232R_A50285BI-if00" in raised.value.hint


async def test_a_forbidden_port_is_denied_with_a_hint(scale: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        # Root may open everything, so the refusal of the operating system is played.
        def refuse(path: str, *_: object) -> int:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr("serial.serialposix.os.open", refuse)
    else:
        scale.link.resolve().chmod(0)
    with pytest.raises(LinkDenied, match="may not be opened") as raised:
        async with open_link(str(scale.link)):
            pass
    assert "dialout" in raised.value.hint


@pytest.mark.parametrize("port", ["/dev/null", "nonsense://x", "/proc/version"])
async def test_what_is_no_serial_port_is_lost_not_a_traceback(port: str) -> None:
    with pytest.raises(LinkLost) as raised:
        async with open_link(port):
            pass
    assert raised.value.hint


@pytest.mark.parametrize(
    "url", ["socket://", "socket://host", "socket://127.0.0.1:x", "socket://127.0.0.1:99999"]
)
async def test_a_broken_address_is_lost_not_a_traceback(url: str) -> None:
    with pytest.raises(LinkLost, match="no address"):
        async with open_link(url):
            pass


async def test_unplugging_is_noticed_by_a_reader_that_waits(scale: Any) -> None:
    async with open_link(str(scale.link)) as link:
        waiting = asyncio.ensure_future(link.read())
        await asyncio.sleep(0)
        scale.unplug()
        with pytest.raises(LinkLost, match="is gone"):
            async with asyncio.timeout(5):
                await waiting
        with pytest.raises(LinkLost):
            await link.write(b"SI\r\n")


async def test_a_replugged_device_is_found_behind_the_same_name(scale: Any) -> None:
    async with open_link(str(scale.link)):
        before = scale.link.readlink()
    keep = os.open(before, os.O_RDWR | os.O_NOCTTY)  # so that the new pty gets another number
    scale.unplug()
    scale.plug()
    try:
        assert scale.link.readlink() != before
        async with open_link(str(scale.link)) as link:
            scale.say("S S 1 g")
            assert await collect(link, 9) == b"S S 1 g\r\n"
    finally:
        os.close(keep)


async def test_what_came_before_the_end_is_still_read() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        async with open_link(f"socket://127.0.0.1:{server.getsockname()[1]}") as link:
            peer, _ = server.accept()
            peer.sendall(b"last words")
            peer.close()
            assert await collect(link, 10) == b"last words"
            with pytest.raises(LinkLost, match="hung up"):
                await link.read()


async def test_a_cancelled_read_loses_no_byte(scale: Any) -> None:
    async with open_link(str(scale.link)) as link:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await link.read()
        scale.say(b"abc")
        assert await collect(link, 3) == b"abc"


async def test_a_slow_reader_holds_a_bounded_buffer_and_gets_every_byte() -> None:
    total = 4 * 1024 * 1024
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        async with open_link(f"socket://127.0.0.1:{server.getsockname()[1]}") as link:
            peer, _ = server.accept()

            def flood() -> None:
                with peer:
                    peer.sendall(b"x" * total)

            flooding = threading.Thread(target=flood)
            flooding.start()
            while link._reading:  # noqa: ASYNC110  # the link tells nobody that it stopped listening
                await asyncio.sleep(0)
            assert BUFFER_LIMIT <= len(link._received) < BUFFER_LIMIT + 4096
            assert len(await collect(link, total)) == total
            flooding.join()


async def test_a_device_that_takes_no_bytes_is_lost_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "WRITE_TIMEOUT_S", 0.1)
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        async with open_link(f"socket://127.0.0.1:{server.getsockname()[1]}") as link:
            peer, _ = server.accept()
            with peer, pytest.raises(LinkLost, match="takes no bytes"):
                await link.write(b"x" * 64 * 1024 * 1024)


async def test_a_port_server_that_refuses_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(LinkLost, match="cannot be reached"):
        async with open_link(f"socket://127.0.0.1:{port}"):
            pass


async def test_a_port_server_that_does_not_answer_is_lost_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CONNECT_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        # A full backlog leaves further connections unanswered, like a host that swallows packets.
        crowd = [socket.socket() for _ in range(8)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(address)
        with pytest.raises(LinkLost, match="does not answer"):
            async with open_link(f"socket://127.0.0.1:{address[1]}"):
                pass
        for one in crowd:
            one.close()


async def test_a_cancelled_connect_leaves_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(8)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(address)
        before = open_descriptors()

        async def wait_for_link() -> None:
            async with open_link(f"socket://127.0.0.1:{address[1]}"):
                pass

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await wait_for_link()
        assert open_descriptors() == before
        for one in crowd:
            one.close()


async def test_a_port_that_hangs_at_its_opening_is_lost_soon_and_the_next_try_goes_on_with_it(
    scale: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, claim, begun = threading.Event(), link_module._claim_tty, list[str]()

    def hang(port: str, options: dict[str, Any]) -> Any:
        begun.append(port)
        release.wait(10)
        return claim(port, options)

    monkeypatch.setattr(link_module, "_claim_tty", hang)
    monkeypatch.setattr(link_module, "OPEN_TIMEOUT_S", 0.05)
    for _ in range(3):
        with pytest.raises(LinkLost, match="does not open"):
            async with open_link(str(scale.link)):
                pass
    release.set()
    monkeypatch.setattr(link_module, "OPEN_TIMEOUT_S", 5.0)
    async with open_link(str(scale.link)) as link:
        await link.write(b"x")
    assert begun == [str(scale.link)]


async def test_a_port_that_opens_after_nobody_wants_it_any_more_is_closed(
    scale: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, claim = threading.Event(), link_module._claim_tty
    monkeypatch.setattr(link_module, "_claim_tty", lambda *what: (release.wait(10), claim(*what))[1])
    opening = asyncio.ensure_future(open_link(str(scale.link)).__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening})
    release.set()
    monkeypatch.setattr(link_module, "_claim_tty", claim)
    async with asyncio.timeout(10):
        while True:
            try:
                async with open_link(str(scale.link)):
                    break
            except LinkDenied:
                await asyncio.sleep(0.01)
