"""The doctor where HQ's database is PostgreSQL."""

import pytest

from cloud_bridge.config import BridgeSettings, Http
from cloud_bridge.doctor import examine
from cloud_bridge.store.postgres.schema import MIGRATIONS

pytestmark = pytest.mark.engines("postgresql")


async def said(settings, what):
    return [(f.level, f.text) async for f in examine(settings) if f.what == what]


async def test_a_database_that_answers_is_told_with_its_tables(tmp_path, database):
    settings = BridgeSettings(data_dir=tmp_path, database=database, http=Http(port=0))
    [(level, text)] = await said(settings, "database")
    assert (level, text.startswith("PostgreSQL "), text.endswith(f"schema {len(MIGRATIONS)}")) == (
        "ok",
        True,
        True,
    )


async def test_no_synchronous_standby_is_a_warning_where_only_a_replica_is_safe(tmp_path, database):
    settings = BridgeSettings(data_dir=tmp_path, database=database, safe="replica", http=Http(port=0))
    [(level, text)] = await said(settings, "standby")
    assert (level, "no synchronous standby" in text) == ("warn", True)


async def test_a_database_that_is_away_fails(tmp_path, database):
    away = f"postgresql://hq@/hq?host={tmp_path}"
    settings = BridgeSettings(data_dir=tmp_path, database=away, http=Http(port=0))
    [(level, text)] = await said(settings, "database")
    assert (level, str(tmp_path) in text) == ("FAIL", True)
