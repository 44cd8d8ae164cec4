"""The network between gateways and HQ: it loses, doubles, delays and reorders, as the seed says."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from edge_agent.sync.line import Answer, HqLine, Request

FATES = {
    "through": 62, "request lost": 6, "reset": 5, "answer lost": 9, "answer late": 4, "doubled": 8, "late": 6,
}  # fmt: skip
CALM = FATES | {"through": 2000}
"""Sessions last, so that what lies further apart meets in one."""
Serve = Callable[[Request], "asyncio.Future[Answer]"]


class Net:
    """`serve` takes a request at HQ; None while HQ is down."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        r: random.Random,
        told: Callable[[str], None],
        *,
        fates: dict[str, int],
    ) -> None:
        self._loop, self._r, self._told, self._fates = loop, r, told, fates
        self.serve: Serve | None = None
        self.is_clean = False
        self.cut_until_s: Counter[str] = Counter()
        """A gateway's line is silent until then."""
        self._late: set[asyncio.Task[None]] = set()

    async def exchange(self, gateway: str, request: Request) -> Answer:
        """What a gateway hears; nothing, for as long as it waits, where something was lost."""
        if self.is_clean:
            return await self._arrive(request)
        [fate] = self._r.choices(list(self._fates), list(self._fates.values()))
        self._told(f"{request.call} {fate}")
        await asyncio.sleep(self._latency_s())
        if self._loop.time() < self.cut_until_s[gateway] or fate == "request lost":
            return await self._silence()
        if fate == "reset":
            raise ConnectionResetError("the line broke")
        if fate == "late":
            self._later(request, self._r.expovariate(1 / 60))
            return await self._silence()
        if fate == "doubled":
            self._later(request, self._latency_s())
        answer = await self._arrive(request)
        if fate == "answer lost" or self._loop.time() < self.cut_until_s[gateway]:
            return await self._silence()
        await asyncio.sleep(self._r.uniform(1, 20) if fate == "answer late" else self._latency_s())
        return answer

    def clear(self) -> None:
        """Nothing is under way any more."""
        for task in self._late:
            task.cancel()
        self._late.clear()

    async def _arrive(self, request: Request) -> Answer:
        if self.serve is None:
            raise ConnectionRefusedError("HQ is down")
        return await self.serve(request)

    def _later(self, request: Request, delay_s: float) -> None:
        async def arrive() -> None:
            await asyncio.sleep(delay_s)
            if self.serve is not None:
                self._told(f"{request.call} arrives late")
                await asyncio.wait([self.serve(request)])

        task = self._loop.create_task(arrive())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _silence(self) -> Answer:
        return await self._loop.create_future()

    def _latency_s(self) -> float:
        return self._r.expovariate(1 / 0.03)


class Line(HqLine):
    """The real line of an agent, from its message to bytes and back; only the wire is the net."""

    def __init__(self, net: Net, gateway: str) -> None:
        super().__init__(url="", token="", tls=None)
        self._net, self._gateway = net, gateway

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        yield

    async def _exchange(self, request: Request) -> Answer:
        return await self._net.exchange(self._gateway, request)
