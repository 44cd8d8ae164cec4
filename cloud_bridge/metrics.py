"""Every metric of HQ, declared once."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

sync_batches = Counter("hq_sync_batches", "Sync calls, by result", ["call", "result"], registry=REGISTRY)
sync_rows = Counter("hq_sync_rows", "Rows taken into the ledger", registry=REGISTRY)
sync_parked = Counter("hq_sync_parked", "Rows of an unknown kind or a newer version", registry=REGISTRY)
sync_quarantined = Counter("hq_sync_quarantined", "Rows whose body does not fit", registry=REGISTRY)
sync_replayed = Counter(
    "hq_sync_replayed", "Rows that were set aside and took effect after an upgrade", registry=REGISTRY
)
sync_forks = Counter(
    "hq_sync_forks", "Times a store moved to another line of history", ["reason"], registry=REGISTRY
)
sync_digests = Counter(
    "hq_sync_digests", "Comparisons of a store's counts with its ledger", ["result"], registry=REGISTRY
)
feed_corrections = Counter("hq_feed_corrections", "Corrections published after a fork", registry=REGISTRY)
lag_seconds = Histogram(
    "hq_lag_seconds",
    "Time from the capture of a batch's newest new row to its arrival",
    buckets=(0.5, 1, 2, 5, 15, 60, 300, 3_600, 86_400),
    registry=REGISTRY,
)
stores = Gauge("hq_stores", "Stores, by how they are", ["status"], registry=REGISTRY)
rows_pending = Gauge("hq_rows_pending", "Rows that stores still hold and HQ does not", registry=REGISTRY)
set_aside_rows = Gauge(
    "hq_set_aside_rows", "Rows that are parked or quarantined now", ["fate"], registry=REGISTRY
)
backup_age_seconds = Gauge(
    "hq_backup_age_seconds", "Age of the newest recorded backup; NaN without one", registry=REGISTRY
)
reservations = Counter(
    "hq_reservations", "Reservations asked for, collected and released", ["outcome"], registry=REGISTRY
)
apply_seconds = Histogram(
    "hq_apply_seconds",
    "Time from a batch's arrival to its commit",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=REGISTRY,
)
writes_waiting = Gauge("hq_writes_waiting", "Writes waiting for the writer thread", registry=REGISTRY)
stream_readers = Gauge("hq_stream_readers", "Open event streams", registry=REGISTRY)
stream_dropped = Counter("hq_stream_dropped", "Streams closed on a reader that stalled", registry=REGISTRY)
http_seconds = Histogram(
    "hq_http_request_seconds",
    "Time to answer, by route",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5),
    registry=REGISTRY,
)
