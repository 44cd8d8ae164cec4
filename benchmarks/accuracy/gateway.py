"""A store's readings, by the agent's own decoders: what the counters under test are fed with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from paho.mqtt.client import topic_matches_sub

from benchmarks.accuracy.frames import CountedByHand, Heard
from edge_agent.config.devices import MqttDevice
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.drivers import tap
from edge_agent.drivers.decode import Decoder, decoder_for
from edge_agent.moment import Moment
from edge_agent.pipeline import TICK_S
from edge_agent.readings import Reading, Recount
from edge_agent.service.settings import load

Arrived = list[Reading | Recount]


def settings_of(file: str) -> StoreSettings:
    """What the agent is configured with in this store. Its addresses lead nowhere."""
    return load(Path(file), StoreSettings, env_prefix=ENV_PREFIX, environ={})


def readings(
    heard: Iterable[Heard], settings: StoreSettings, opened_at: datetime
) -> Iterator[tuple[Moment, Arrived]]:
    """What arrives, moment by moment; an empty list is the pipeline's own tick."""
    decoders = {one.id: (one, decoder_for(one)) for one in settings.devices if isinstance(one, MqttDevice)}
    by_topic: dict[str, list[Decoder]] = {}
    tick_s = TICK_S
    for said in heard:
        while tick_s <= said.at_s:
            yield _moment(tick_s, opened_at), []
            tick_s += TICK_S
        if isinstance(said, CountedByHand):
            yield _moment(said.at_s, opened_at), [Recount(said.facing, said.on_hand)]
            continue
        if said.topic not in by_topic:
            by_topic[said.topic] = [
                decoder
                for device, decoder in decoders.values()
                if topic_matches_sub(device.topic_filter, said.topic)
            ]
        for decoder in by_topic[said.topic]:
            decoded = decoder.feed(tap.Heard("in", said.body, said.topic))
            found: Arrived = [reading for reading in decoded if not isinstance(reading, str)]
            if found:
                yield _moment(said.at_s, opened_at), found


def _moment(at_s: float, opened_at: datetime) -> Moment:
    return Moment(opened_at + timedelta(seconds=at_s), at_s)
