"""The line to HQ on a thread of its own, for whoever has no event loop."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from device_sims.proxy import Mode, UplinkProxy

ANSWERS_WITHIN_S = 10.0


class ProxyThread:
    """Forwards inside the block, beginning in `mode`. OSError: it cannot listen; TimeoutError: no answer."""

    def __init__(self, host: str, port: int, *, mode: Mode = "open") -> None:
        self.proxy = UplinkProxy(host, port)
        self._mode: Mode = mode
        self._loop, self._end = asyncio.new_event_loop(), asyncio.Event()
        self._up = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="line to HQ")

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(ANSWERS_WITHIN_S):
            raise TimeoutError("the line's thread did not begin to listen")
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(ANSWERS_WITHIN_S)

    def set(self, mode: Mode) -> None:
        """Change the line; returns when it is so."""
        asyncio.run_coroutine_threadsafe(self.proxy.set_mode(mode), self._loop).result(ANSWERS_WITHIN_S)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._up.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with self.proxy.running():
            await self.proxy.set_mode(self._mode)
            self._up.set()
            await self._end.wait()
