"""What a process of ours asks of the operating system: threads that may hang, and many open files."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any, ParamSpec, TypeVar

COLLECT_EVERY_S = 300.0
_NEVER = 1_000_000

P = ParamSpec("P")
T = TypeVar("T")


class LooseThreads(ThreadPoolExecutor):
    """A thread of its own for each call.

    A wedged port or a dead name server may hold a thread for minutes: neither other calls nor the end of the
    process wait for it.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` in a new thread."""
        done: Future[T] = Future()
        done.set_running_or_notify_cancel()

        def work() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # as every executor, whatever it is
                done.set_exception(error)
            else:
                done.set_result(result)

        Thread(target=work, name="blocking", daemon=True).start()
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing to wait for."""


def open_many_files() -> None:
    """As many as this user may: a serial port takes five, and a process starts with 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def collect_by_time() -> None:
    """Look through all objects every few minutes instead of by their number.

    State that is replaced again and again looks like growth to the collector: with two thousand devices it
    went through everything each 2.6 s and stopped the loop for 0.2 s. What is dropped is freed by its
    reference count, and young cycles are found as often as before; but exceptions of devices that come and go
    make cycles that live long enough to be old. Ends when it is cancelled.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    while True:
        await asyncio.sleep(COLLECT_EVERY_S)
        gc.collect()


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(LooseThreads())
        return runner.run(work)
