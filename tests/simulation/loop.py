"""An event loop on a clock of its own: nothing waits, everything runs in one order, and it stops anywhere."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")
OPENED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualLoop(asyncio.AbstractEventLoop):
    """Driven from outside, callback by callback; work for threads is done at once, in place."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self.failures: list[dict[str, Any]] = []
        """What no task and nobody else caught."""

    # --- for who drives it ---

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, what asks for the running loop gets this one."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def now(self) -> datetime:
        """The wall clock."""
        return OPENED_AT + timedelta(seconds=self._now_s)

    def step(self) -> bool:
        """Run one callback, letting time pass to it; False when there is none."""
        if self._ready:
            self._run(self._ready.popleft())
            return True
        while self._timers:
            when, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self._now_s = max(self._now_s, when)
                self._run(handle)
                return True
        return False

    def run_for(self, seconds: float) -> None:
        """Let `seconds` pass."""
        until = self._now_s + seconds
        while self._ready or (self._timers and self._timers[0][0] <= until):
            self.step()
        self._now_s = until

    def run_until(self, is_so: Callable[[], bool], *, within_s: float) -> bool:
        """Whether it became so in time."""
        until = self._now_s + within_s
        while not is_so():
            if self._now_s > until or not self.step():
                return False
        return True

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until `work` is done."""
        task = self.create_task(work)
        while not task.done():
            assert self.step(), f"{task} waits for nothing"
        return task.result()

    def _run(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            handle._run()

    # --- for asyncio ---

    def time(self) -> float:
        return self._now_s

    def call_soon(self, callback, *args, context=None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor, func, *args) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # as every executor, whatever it is
            future.set_exception(error)
        return future

    def get_debug(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)
