"""One try of the broker, as the agent uses it: who lets us in, which topics are granted, what arrives."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from paho.mqtt.client import MQTTMessage, topic_matches_sub

from edge_agent.config.store import Mqtt
from edge_agent.drivers.mqtt_connection import V5, V311, NoHandshake, Version, open_connection


@dataclass(frozen=True, slots=True)
class Trial:
    """What the broker granted: the refused filters with its reasons, and live messages by filter."""

    version: str
    refused: dict[str, str]
    heard: Counter[str]


async def try_broker(
    settings: Mqtt, *, topics: Collection[str], states: Collection[str], listen_s: float
) -> Trial:
    """Log in, subscribe and listen, at most `listen_s` and until something came on each of `topics`.

    `states`, where devices say whether they are there, are only asked for. It has a session of its own, so
    that a running agent keeps its. Raises LinkLost or LinkDenied.
    """
    try:
        return await _try(settings, topics, states, listen_s, V5)
    except NoHandshake:
        return await _try(settings, topics, states, listen_s, V311)


async def _try(
    settings: Mqtt, topics: Collection[str], states: Collection[str], listen_s: float, version: Version
) -> Trial:
    heard, news, wanted = Counter[str](), asyncio.Event(), set(topics)

    def arrived(message: MQTTMessage) -> None:
        if not message.retain:
            heard.update(topic for topic in wanted if topic_matches_sub(topic, message.topic))
            news.set()

    name = f"shelf-edge-doctor-{secrets.token_hex(3)}"
    async with open_connection(settings, name, on_message=arrived, version=version, kept=False) as connection:
        refused = await connection.subscribe(sorted(wanted.union(states)))
        with suppress(TimeoutError):  # not everybody speaks within that time
            async with asyncio.timeout(listen_s):
                while wanted - refused.keys() - heard.keys():
                    news.clear()
                    await news.wait()
    return Trial("5" if version == V5 else "3.1.1", refused, heard)
