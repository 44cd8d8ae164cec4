"""SIGTERM reaches a service whose loop is busy while other threads wake it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from edge_agent.service.stop import stop_event


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("wake_ups", [0, 5_000])
def test_a_signal_is_heard_however_many_wake_ups_wait_before_it(number: int, wake_ups: int) -> None:
    """5,000 bytes do not fit into the pipe by which asyncio wakes its loop."""

    async def busy() -> bool:
        stop, loop = stop_event(), asyncio.get_running_loop()

        def wake_and_stop() -> None:
            for _ in range(wake_ups):
                loop.call_soon_threadsafe(time.monotonic)
            os.kill(os.getpid(), number)

        other = threading.Thread(target=wake_and_stop)
        other.start()
        other.join()  # the loop does nothing else meanwhile
        async with asyncio.timeout(5):
            return await stop.wait()

    assert asyncio.run(busy())


def test_a_signal_after_the_end_of_the_loop_does_nothing() -> None:
    async def short() -> asyncio.Event:
        return stop_event()

    stop = asyncio.run(short())
    os.kill(os.getpid(), signal.SIGTERM)
    assert not stop.is_set()
