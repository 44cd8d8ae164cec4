"""SIGTERM and Ctrl-C as an event, for every service of ours."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress


def stop_event() -> asyncio.Event:
    """Set at the first SIGTERM or SIGINT; call it inside a running loop.

    Not by `loop.add_signal_handler`: that one hears of a signal through the loop's own pipe, and the pipe is
    full once a few hundred wake-ups of other threads wait in it. A busy loop would miss the signal for good.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def heard(_number: int, _frame: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the process is about to
            loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, heard)
    return stop
