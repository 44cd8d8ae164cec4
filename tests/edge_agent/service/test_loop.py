"""A command ends although the operating system holds one of its threads."""

from __future__ import annotations

import asyncio
import resource
import threading

import pytest

from edge_agent.service import loop


def test_the_end_does_not_wait_for_a_thread_that_hangs() -> None:
    release, returned = threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(30)
        returned.set()

    async def work() -> str:
        hanging = asyncio.ensure_future(asyncio.to_thread(hang))
        await asyncio.wait({hanging}, timeout=0.01)
        return "done"

    assert loop.run(work()) == "done"
    assert not returned.is_set()
    release.set()
    assert returned.wait(10)


def test_calls_in_threads_return_and_raise_what_they_should() -> None:
    async def work() -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        return await asyncio.to_thread(abs, -3)

    assert loop.run(work()) == 3


def test_a_process_may_open_as_many_files_as_its_user() -> None:
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, most - 1), most))
    loop.open_many_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
