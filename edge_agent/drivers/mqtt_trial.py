"""One try of the broker, as the agent uses it: who lets us in, which topics are granted, what arrives."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from paho.mqtt.client import MQTTMessage, topic_matches_sub

from edge_agent.config import Mqtt
from edge_agent.drivers.mqtt_connection import V5, V311, NoHandshake, Version, open_connection


@dataclass(frozen=True, slots=True)
class Trial:
    """What the broker granted: the refused filters with its reasons, and messages by filter."""

    version: str
    refused: dict[str, str]
    heard: Counter[str]


async def try_broker(
    settings: Mqtt, *, topics: Collection[str], states: Collection[str], listen_s: float
) -> Trial:
    """Log in, subscribe and listen, at most `listen_s` and until every topic has been heard.

    `states` are topics whose retained value counts. It has a session of its own, so that a running agent
    keeps its. Raises LinkLost or LinkDenied.
    """
    try:
        return await _try(settings, topics, states, listen_s, V5)
    except NoHandshake:
        return await _try(settings, topics, states, listen_s, V311)


async def _try(
    settings: Mqtt, topics: Collection[str], states: Collection[str], listen_s: float, version: Version
) -> Trial:
    heard, news = Counter[str](), asyncio.Event()
    wanted = {*topics, *states}

    def arrived(message: MQTTMessage) -> None:
        fresh = wanted if not message.retain else set(states)
        heard.update(topic for topic in fresh if topic_matches_sub(topic, message.topic))
        news.set()

    name = f"shelf-edge-doctor-{secrets.token_hex(3)}"
    async with open_connection(settings, name, on_message=arrived, version=version, kept=False) as connection:
        refused = await connection.subscribe(sorted(wanted - set(states)))
        refused |= await connection.subscribe(sorted(states), retained=True)
        with suppress(TimeoutError):  # not everybody speaks within that time
            async with asyncio.timeout(listen_s):
                while wanted - refused.keys() - heard.keys():
                    news.clear()
                    await news.wait()
    return Trial("5" if version == V5 else "3.1.1", refused, heard)
