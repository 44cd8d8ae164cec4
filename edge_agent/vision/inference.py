"""The one thread in which all models of the process run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")

# A second thread is slower on a busy machine. Each camera asks for one frame at a time and the queue is
# first in, first out, so every camera gets its fair share.
_INFERENCE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")


async def in_turn(work: Callable[[], _T]) -> _T:
    """Do `work` in that thread, after what was asked before; its result or its error."""
    return await asyncio.get_running_loop().run_in_executor(_INFERENCE, work)
