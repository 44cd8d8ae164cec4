"""Every metric of the agent, declared once (`docs/reference.md` lists them)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

REGISTRY = CollectorRegistry()


class DeviceFigures(NamedTuple):
    """What is shown of one device."""

    device: str
    up: bool
    silence_s: float
    skipped_bytes: int


class _Devices:
    """The gauges of all devices, made when somebody looks: thousands of them kept are tens of megabytes."""

    def __init__(self) -> None:
        self.look: Callable[[], Iterable[DeviceFigures]] = list

    def collect(self) -> Iterator[Metric]:
        """One sample a device for each gauge."""
        up = GaugeMetricFamily("edge_device_up", "1 when the device is online", labels=["device"])
        silence = GaugeMetricFamily(
            "edge_device_silence_seconds", "Seconds since the device was last heard", labels=["device"]
        )
        skipped = GaugeMetricFamily(
            "edge_link_bytes_skipped",
            "Bytes that were no part of a good frame, since the start",
            labels=["device"],
        )
        for one in self.look():
            up.add_metric([one.device], float(one.up))
            silence.add_metric([one.device], one.silence_s)
            skipped.add_metric([one.device], one.skipped_bytes)
        yield from (up, silence, skipped)


devices = _Devices()
REGISTRY.register(devices)
device_restarts = Counter(
    "edge_device_restarts", "Times a device's driver was started again", ["device"], registry=REGISTRY
)
readings = Counter("edge_readings", "Readings taken in", ["kind"], registry=REGISTRY)
lines = Counter(
    "edge_lines",
    "Lines of receipts and deliveries: counted, known already, or refused",
    ["kind", "result"],
    registry=REGISTRY,
)
events = Counter("edge_events", "Events captured into the outbox", ["kind"], registry=REGISTRY)
outbox_rows = Gauge("edge_outbox_rows", "Rows that HQ has not applied yet", registry=REGISTRY)
outbox_oldest_seconds = Gauge(
    "edge_outbox_oldest_seconds", "Age of the oldest row that HQ has not applied yet", registry=REGISTRY
)
journal_commits = Counter("edge_journal_commits", "Journal transactions", registry=REGISTRY)
journal_held = Gauge(
    "edge_journal_held", "1 while the disk refuses to write and devices are held", registry=REGISTRY
)
journal_fullness = Gauge(
    "edge_journal_fullness", "What the journal holds of what it may hold, 0 to 1", registry=REGISTRY
)
journal_alarm = Gauge("edge_journal_alarm", "0, or the alarm reached: 70, 85, 95", registry=REGISTRY)
commit_seconds = Histogram(
    "edge_commit_seconds",
    "Time from a reading's arrival to its commit",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1),
    registry=REGISTRY,
)
sync_online = Gauge("edge_sync_online", "1 while HQ answers", registry=REGISTRY)
sync_batches = Counter("edge_sync_batches", "Batches sent, by result", ["result"], registry=REGISTRY)
sync_differences = Counter(
    "edge_sync_differences", "Times HQ's counts were not this store's and were told again", registry=REGISTRY
)
sync_hellos = Counter("edge_sync_hellos", "Sessions opened at HQ", registry=REGISTRY)
clock_offset_seconds = Gauge("edge_clock_offset_seconds", "HQ's clock minus this one", registry=REGISTRY)
mqtt_messages = Counter("edge_mqtt_messages", "MQTT messages taken, each once", registry=REGISTRY)
mqtt_duplicates = Counter(
    "edge_mqtt_duplicates", "Messages that came a second time and were dropped", ["device"], registry=REGISTRY
)
mqtt_unreadable = Counter(
    "edge_mqtt_unreadable", "MQTT messages, or events in them, without sense", ["device"], registry=REGISTRY
)
frames_dropped = Counter(
    "edge_frames_dropped", "Frames replaced by a newer one unseen", ["device"], registry=REGISTRY
)
frames_damaged = Counter(
    "edge_frames_damaged", "Frames that could not be decoded", ["device"], registry=REGISTRY
)
camera_views = Counter(
    "edge_camera_views", "Times somebody opened a camera's view", ["device"], registry=REGISTRY
)
looks_skipped = Counter(
    "edge_looks_skipped",
    "Frames without motion that the detector was not asked about",
    ["device"],
    registry=REGISTRY,
)
rfid_events_missed = Counter(
    "edge_rfid_events_missed", "Tag events numbered by a reader and never here", ["device"], registry=REGISTRY
)
