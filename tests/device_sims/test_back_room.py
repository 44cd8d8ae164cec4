"""A simulated reader that hears the back room too, through the agent's own decoders into its estimator."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from device_sims.broker import Broker, User
from device_sims.scenario import Scenario
from device_sims.store_file import AgentFiles, Places, store_yaml
from device_sims.virtual import VirtualStore
from device_sims.world import BACK_ROOM
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.contract.messages import ItemMoved
from edge_agent.drivers.decode import decoder_for
from edge_agent.drivers.tap import Heard
from edge_agent.moment import Moment
from edge_agent.readings import TagRead
from edge_agent.service.settings import load
from edge_agent.stock.estimate import Estimator
from edge_agent.wiring import wiring

COLA, TEA = "06901234567892", "06901234567885"
BEHIND, CARRIED, DELIVERED = 9, 4, 3


def scenario_of(kind: str) -> Scenario:
    """Staff carry colas from the back room to their shelf; later some more are delivered."""
    product = {"unit_weight_g": 300, "unit_weight_sd_g": 3, "tagged": 1}
    facing = {"capacity": 20, "reorder_point": 1, "on_hand": 6, "shelf": "A1"}
    return Scenario.model_validate(
        {
            "seconds": 400,
            "store": {"id": "s1", "timezone": "UTC"},
            "products": [product | {"gtin": COLA, "name": "cola"}, product | {"gtin": TEA, "name": "tea"}],
            "facings": [facing | {"id": "A1-01", "gtin": COLA}, facing | {"id": "A1-02", "gtin": TEA}],
            "backroom": {COLA: BEHIND},
            "devices": [{"id": "rfid-1", "kind": kind, "back_room": True}],
            "people": {"shoppers_per_minute": 0},
            "timeline": [
                {"at_s": 120, "act": "restock", "facing": "A1-01", "quantity": CARRIED},
                {"at_s": 300, "act": "delivery", "gtin": COLA, "quantity": DELIVERED},
            ],
        }
    )


def settings_of(scenario: Scenario, folder: Path) -> StoreSettings:
    nobody = User("agent", "none")
    (folder / "secret").write_text("none")
    broker = Broker("mosquitto", 1, 2, nobody, nobody, folder / "secret")
    file = folder / "store.yaml"
    file.write_text(store_yaml(scenario, Places({}, broker=broker), AgentFiles(folder)))
    return load(file, StoreSettings, env_prefix=ENV_PREFIX, environ={})


@pytest.mark.parametrize("kind", ["impinj-r700", "zebra-iotc"])
def test_what_staff_carry_from_the_back_room_to_the_shelf_is_seen_to_move(
    kind: Literal["impinj-r700", "zebra-iotc"], tmp_path: Path
) -> None:
    scenario = scenario_of(kind)
    settings, store = settings_of(scenario, tmp_path), VirtualStore(scenario, seed=1)
    (device,) = settings.devices
    decoder, estimator = decoder_for(device), Estimator(settings.planogram, wiring(settings.devices))
    opened_at, moves = store.now, list[tuple[str, str, str | None]]()

    def live(until_s: float) -> None:
        for at_s, _, said in store.advance(until_s):
            now = Moment(opened_at + timedelta(seconds=at_s), at_s)
            reads = [
                one for one in decoder.feed(Heard("in", said.body, said.topic)) if isinstance(one, TagRead)
            ]
            for effects in [*(estimator.tag(read, now) for read in reads), estimator.tick(now)]:
                moves.extend(
                    (event.kind, event.body.epc, event.body.facing)
                    for event in (effects.events if effects else ())
                    if isinstance(event.body, ItemMoved)
                )

    live(110)
    carried = {tag.epc.lower() for tag in store.world.tags(BACK_ROOM)}
    assert estimator.presence.in_back_room(COLA) == store.world.behind(COLA) == BEHIND
    assert estimator.beliefs["A1-01"].on_hand == store.world.on_hand("A1-01") == 6

    since = len(moves)
    live(290)
    carried -= {tag.epc.lower() for tag in store.world.tags(BACK_ROOM)}
    assert len(carried) == CARRIED
    assert estimator.presence.in_back_room(COLA) == store.world.behind(COLA) == BEHIND - CARRIED
    assert estimator.beliefs["A1-01"].on_hand == 6 + CARRIED
    for epc in carried:
        told = [(what, facing) for what, moved, facing in moves[since:] if moved == epc]
        assert told[0] == ("item.departed", None)
        assert told[-1] == ("item.arrived", "A1-01")

    live(400)
    assert estimator.presence.in_back_room(COLA) == store.world.behind(COLA) == BEHIND - CARRIED + DELIVERED
    assert estimator.beliefs["A1-02"].on_hand == 6
