"""A store's readings, by the agent's own decoders: what the estimators under test are fed with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from paho.mqtt.client import topic_matches_sub

from device_sims.broker import Broker, User
from device_sims.scenario import Scenario
from device_sims.store_file import AgentFiles, Places, store_yaml
from device_sims.virtual import VirtualStore
from edge_agent.config.devices import MqttDevice
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.drivers.decode import Decoder, decoder_for
from edge_agent.drivers.tap import Heard
from edge_agent.moment import Moment
from edge_agent.pipeline import TICK_S
from edge_agent.readings import Reading
from edge_agent.service.settings import load


def settings_of(scenario: Scenario) -> StoreSettings:
    """What the agent would be configured with in this store. Its addresses lead nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "secret"
        secret.write_text("none")
        nobody = User("agent", "none")
        broker = Broker("mosquitto", 1, 2, nobody, nobody, secret)
        file = Path(folder) / "store.yaml"
        file.write_text(store_yaml(scenario, Places({}, broker=broker), AgentFiles(Path(folder))))
        return load(file, StoreSettings, env_prefix=ENV_PREFIX, environ={})


def readings(
    store: VirtualStore, settings: StoreSettings, seconds: float
) -> Iterator[tuple[Moment, list[Reading]]]:
    """What arrives, moment by moment; an empty list is the pipeline's own tick."""
    decoders = {one.id: (one, decoder_for(one)) for one in settings.devices if isinstance(one, MqttDevice)}
    by_topic: dict[str, list[Decoder]] = {}
    tick_s, opened_at = TICK_S, store.now
    for at_s, _, said in store.advance(seconds):
        while tick_s <= at_s:
            yield _moment(tick_s, opened_at), []
            tick_s += TICK_S
        if said.topic not in by_topic:
            by_topic[said.topic] = [
                decoder
                for device, decoder in decoders.values()
                if topic_matches_sub(device.topic_filter, said.topic)
            ]
        for decoder in by_topic[said.topic]:
            heard = decoder.feed(Heard("in", said.body, said.topic))
            found = [reading for reading in heard if not isinstance(reading, str)]
            if found:
                yield _moment(at_s, opened_at), found


def _moment(at_s: float, opened_at: datetime) -> Moment:
    return Moment(opened_at + timedelta(seconds=at_s), at_s)
