"""SIGTERM and Ctrl-C as an event, for every service of ours."""

from __future__ import annotations

import asyncio
import signal


def stop_event() -> asyncio.Event:
    """Set at the first SIGTERM or SIGINT; call it inside a running loop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
