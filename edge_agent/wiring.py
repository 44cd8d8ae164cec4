"""What the configuration connects: plates and antennas to facings, limits to quantities, ports to devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_agent.config.devices import Device, Llrp, Reader, Scale, Sensor, SerialDevice
from edge_agent.config.store import StoreSettings
from edge_agent.contract.times import utc_now
from edge_agent.environment import Bounds, Key
from edge_agent.health import Condition
from edge_agent.stock.belief import Belief
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.habits import Habits
from edge_agent.stock.sensors import Wiring


def wiring(devices: Sequence[Device]) -> Wiring:
    """Plates and antennas of all devices, to the facings they see, and the antennas over the back room."""
    plates = {
        (d.id, channel): names
        for d in devices
        if isinstance(d, Scale)
        for channel, names in d.plates().items()
    }
    antennas: dict[tuple[str, int | None], str] = {
        (d.id, antenna): name
        for d in devices
        if isinstance(d, Reader)
        for antenna, name in d.coverage().items()
    }
    behind = {(d.id, antenna) for d in devices if isinstance(d, Reader) for antenna in d.behind()}
    return Wiring(plates, antennas, behind)


def bounds(devices: Sequence[Device]) -> dict[Key, Bounds]:
    """The limits of all devices. A door has no hysteresis: it is open or closed."""
    return {
        (device.id, quantity): Bounds(
            limits.min,
            limits.max,
            limits.for_s,
            0.0 if quantity == "door" else limits.hysteresis,
            device.expect_every_s or device.silence_s,
        )
        for device in devices
        if isinstance(device, Sensor)
        for quantity, limits in device.limits.items()
    }


def place_of(device: Device) -> str | None:
    """The port or address that a device hangs on."""
    if isinstance(device, SerialDevice):
        return device.port
    return device.url if isinstance(device, Llrp) else None


def estimator_of(settings: StoreSettings, beliefs: Iterable[Belief]) -> Estimator:
    """What counts in this store, going on from what was believed when it stopped."""
    stock = settings.agent.stock
    return Estimator(
        settings.planogram,
        wiring(settings.devices),
        beliefs,
        habits=Habits(tag_power=stock.tag_power),
        zone=settings.store.zone,
        confidence_step=stock.confidence_step,
    )


def condition_of(device: Device, before: Condition | None, *, mono_s: float) -> Condition:
    """At start every device is as it was; one never seen is offline until it answers."""
    driver = str(getattr(device, "driver", ""))
    expect = device.expect_every_s or device.silence_s
    if before is None or before.driver != driver:
        return Condition(device.id, driver, "offline", "not seen yet", utc_now(), expect_every_s=expect)
    return Condition(
        device.id,
        driver,
        before.status,
        before.reason,
        before.since,
        before.last_seen_at,
        expect_every_s=expect,
        heard_s=mono_s,
    )
