"""Every metric of the agent, declared once (`docs/metrics.md` lists them)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

device_up = Gauge("edge_device_up", "1 when the device is online", ["device"], registry=REGISTRY)
device_silence = Gauge(
    "edge_device_silence_seconds", "Seconds since the device was last heard", ["device"], registry=REGISTRY
)
link_skipped = Gauge(
    "edge_link_bytes_skipped", "Bytes that were no part of a good frame, since the start", ["device"],
    registry=REGISTRY,
)  # fmt: skip
device_restarts = Counter(
    "edge_device_restarts", "Times a device's driver was started again", ["device"], registry=REGISTRY
)
readings = Counter("edge_readings", "Readings taken in", ["kind"], registry=REGISTRY)
events = Counter("edge_events", "Events captured into the outbox", ["kind"], registry=REGISTRY)
outbox_rows = Gauge("edge_outbox_rows", "Rows that HQ has not applied yet", registry=REGISTRY)
journal_commits = Counter("edge_journal_commits", "Journal transactions", registry=REGISTRY)
commit_seconds = Histogram(
    "edge_commit_seconds",
    "Time from a reading's arrival to its commit",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1),
    registry=REGISTRY,
)
sync_online = Gauge("edge_sync_online", "1 while HQ answers", registry=REGISTRY)
sync_batches = Counter("edge_sync_batches", "Batches sent, by result", ["result"], registry=REGISTRY)
sync_hellos = Counter("edge_sync_hellos", "Sessions opened at HQ", registry=REGISTRY)
clock_offset_seconds = Gauge("edge_clock_offset_seconds", "HQ's clock minus this one", registry=REGISTRY)
mqtt_duplicates = Counter(
    "edge_mqtt_duplicates", "Messages that came a second time and were dropped", ["device"], registry=REGISTRY
)
mqtt_unreadable = Counter(
    "edge_mqtt_unreadable", "MQTT messages, or events in them, without sense", ["device"], registry=REGISTRY
)
frames_dropped = Counter(
    "edge_frames_dropped", "Frames replaced by a newer one unseen", ["device"], registry=REGISTRY
)
rfid_events_missed = Counter(
    "edge_rfid_events_missed", "Tag events numbered by a reader and never here", ["device"], registry=REGISTRY
)
