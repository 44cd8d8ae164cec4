"""HQ in one SQLite file: one process, one writer thread, a few readers that cannot write."""

from cloud_bridge.store.sqlite.engine import SqliteEngine

__all__ = ["SqliteEngine"]
