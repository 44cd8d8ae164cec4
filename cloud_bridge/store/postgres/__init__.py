"""HQ in PostgreSQL: any number of bridge processes on one database."""

from cloud_bridge.store.postgres.engine import PostgresEngine

__all__ = ["PostgresEngine"]
