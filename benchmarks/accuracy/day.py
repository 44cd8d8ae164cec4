"""`python -m benchmarks.accuracy.day`: what the estimator believes of one simulated facing over a day.

Writes docs/belief-day.svg; `picture` draws it. The same readings and estimator as `make accuracy`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from benchmarks.accuracy.frames import Published
from benchmarks.accuracy.gateway import Arrived, readings, settings_of
from benchmarks.accuracy.picture import Drawing, Look, Mark
from benchmarks.accuracy.run import written
from device_sims.scenario import Scenario
from device_sims.virtual import VirtualStore
from edge_agent.config.store import StoreSettings
from edge_agent.health import Condition, Health
from edge_agent.moment import Moment
from edge_agent.readings import TagRead, WeightReading
from edge_agent.stock.estimate import Estimator
from edge_agent.wiring import wiring

PAGE = Path(__file__).parents[2] / "docs" / "belief-day.svg"
FACING, GTIN, SCALE = "A1-01", "06901234100013", "plate-a1-01"
CAPACITY, UNIT_G = 16, 155.0
OPENS_AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HOURS, SEED = 12.0, 5
EVERY_S = 60.0
MOST = CAPACITY + 2
CAPTION = "What the agent believes of one simulated facing over a day, with its scale and its tags"

TAKEN = (
    (0.4, 1), (0.9, 1), (1.3, 2), (1.9, 1), (2.6, 1), (3.3, 1), (4.1, 1), (4.6, 1), (5.7, 1), (6.2, 2),
    (7.3, 1), (7.7, 2), (8.8, 1), (9.5, 1), (10.1, 2), (10.8, 1), (11.4, 1),
)  # fmt: skip
"""(hour after opening, items)."""
BAG_H, BAG_FOR_H, BAG_G = 3.0, 1.3, 4 * UNIT_G + 15
SILENT_H, SILENT_FOR_H = 7.0, 1.0
FILLED_H, FILLED = 5.0, 9


def main() -> None:
    marks = [
        Mark(BAG_H, BAG_H + BAG_FOR_H, f"a bag of {BAG_G:.0f} g", "on the plate"),
        Mark(SILENT_H, SILENT_H + SILENT_FOR_H, "scale silent,", "3 taken meanwhile"),
    ]
    seen = list(looks())
    fills = [
        Mark(after.hour, after.hour, "filled up", f"+{after.truth - before.truth}")
        for before, after in pairwise(seen)
        if after.truth > before.truth
    ]
    drawing = Drawing(seen, most=MOST, opens=OPENS_AT.hour)
    PAGE.write_text(drawing.svg([*marks, *fills], CAPTION), encoding="utf-8")
    print(f"written: {PAGE}, {PAGE.stat().st_size / 1024:.0f} KB")


def looks() -> Iterator[Look]:
    scenario = _scenario()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(written(Path(folder), scenario))
    store = VirtualStore(scenario, seed=SEED, opened_at=OPENS_AT)
    estimator = Estimator(settings.planogram, wiring(settings.devices))
    health, next_s = _health(settings), EVERY_S / 2
    said = (Published(at_s, one.topic, one.body) for at_s, _, one in store.advance(HOURS * 3600))
    for now, heard in readings(said, settings, store.now):
        _take(estimator, health, heard, now)
        if heard or now.mono_s < next_s:
            continue
        next_s += EVERY_S
        belief = estimator.beliefs[FACING]
        counts = estimator.accountant.of(belief, now).counts
        shares = {one.on_hand: one.probability for one in counts}
        truth = store.world.on_hand(FACING)
        yield Look(now.mono_s / 3600, truth, belief.on_hand, belief.confidence, shares)


def _take(estimator: Estimator, health: Health, heard: Arrived, now: Moment) -> None:
    """As the pipeline does, with devices that fall silent."""
    for reading in heard:
        if isinstance(reading, WeightReading):
            estimator.weight(reading, now)
        elif isinstance(reading, TagRead):
            estimator.tag(reading, now)
        if isinstance(reading, WeightReading | TagRead):
            health.heard(reading.device, now)
    if not heard:
        estimator.tick(now)
        for lost in health.tick(now):
            estimator.device_lost(lost.device, now)


def _health(settings: StoreSettings) -> Health:
    return Health(
        [
            Condition(one.id, "mqtt", "offline", None, OPENS_AT, expect_every_s=one.expect_every_s or 10.0)
            for one in settings.devices
        ]
    )


def _scenario() -> Scenario:
    acts = [
        {"at_s": hour * 3600, "act": "pick", "facing": FACING, "quantity": number} for hour, number in TAKEN
    ]
    bag = {"act": "bag", "facing": FACING, "weight_g": BAG_G, "for_s": BAG_FOR_H * 3600}
    filled = {"at_s": FILLED_H * 3600, "act": "restock", "facing": FACING, "quantity": FILLED}
    return Scenario.model_validate(
        {
            "seconds": HOURS * 3600,
            "store": {"id": "belief-day", "timezone": "UTC"},
            "products": [{"gtin": GTIN, "unit_weight_g": UNIT_G, "unit_weight_sd_g": 1.55, "tagged": 0.85}],
            "facings": [
                {
                    "id": FACING,
                    "gtin": GTIN,
                    "capacity": CAPACITY,
                    "reorder_point": 3,
                    "on_hand": 15,
                    "shelf": "A1",
                }
            ],
            "devices": [
                {"id": "plate-{facing}", "kind": "mqtt-plate", "every_s": 1.0},
                {"id": "rfid-{shelf}", "kind": "impinj-r700"},
            ],
            "noise": {"unit_weight_cv": 0.01, "unit_weight_bias": 0.01, "drift_g_per_sqrt_h": 5.0},
            "people": {"shoppers_per_minute": 0},
            "timeline": [*acts, filled, bag | {"at_s": BAG_H * 3600}],
            "faults": [
                {"fault": "mute", "device": SCALE, "at_s": SILENT_H * 3600, "for_s": SILENT_FOR_H * 3600}
            ],
        }
    )


if __name__ == "__main__":
    main()
