"""What one driver takes at once from its inbox: bounded, so that nobody else waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from edge_agent.config.mappings import MqttJson
from edge_agent.drivers.mqtt_inbox import BATCH, BATCH_BYTES, Inbox, Message
from edge_agent.drivers.mqtt_json import mqtt_json_driver


class OneInbox:
    """A session with one inbox and no broker; keeps what was finished, in its order."""

    def __init__(self) -> None:
        self.finished: list[Message] = []
        self.inbox = Inbox(self, "d1", "t")

    @asynccontextmanager
    async def subscribe(self, _device: str, _topic: str) -> AsyncIterator[Inbox]:
        yield self.inbox

    def raise_if_down(self, inbox: Inbox) -> None: ...

    def hold(self, change: int) -> None: ...

    def finish(self, messages: Sequence[Message]) -> None:
        self.finished += messages


async def test_a_batch_is_bounded_in_messages_and_in_bytes() -> None:
    inbox = OneInbox().inbox
    for size in [10] * (BATCH + 1) + [BATCH_BYTES // 2] * 3 + [4 * BATCH_BYTES] * 2:
        inbox.put(Message("t", b"x" * size, retained=False))
    assert [len(await inbox.get_batch()) for _ in range(4)] == [BATCH, 3, 2, 1]


async def test_messages_without_sense_leave_their_turn_to_others(emitted: Any, running: Any) -> None:
    session, turns = OneInbox(), 0
    sent = [Message("t", b"a b" * 50_000, retained=False) for _ in range(40)]
    for message in sent:
        session.inbox.put(message)
    driver = mqtt_json_driver(
        MqttJson.model_validate({"id": "d1", "driver": "mqtt-json", "topic": "t", "weight": {}}),
        session,  # type: ignore[arg-type]
    )
    async with running(driver.run(emitted)):
        while len(session.finished) < len(sent):
            await asyncio.sleep(0)
            turns += 1
    assert session.finished == sent
    assert turns >= len(sent) // 2
