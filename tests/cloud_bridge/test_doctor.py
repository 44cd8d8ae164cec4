"""What `cloud-bridge doctor` says of real files, a real bridge and real certificates; it changes none of them."""

from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_bridge.config import BridgeSettings, Http
from cloud_bridge.doctor import address, examine, place
from cloud_bridge.doctor.database import WAL_WARN_BYTES
from cloud_bridge.store.sqlite.schema import FILE_NAME, MIGRATIONS, open_writer
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.service import command_socket
from edge_agent.service.finding import tell_json, tell_lines

NOW = utc_now()
BRANCH = (
    "insert into branch (store, branch, name, start_seq, start_chain, head_seq, head_chain, opened_at, reason)"
    " values"
)
EVERYWHERE = "0.0.0.0"  # noqa: S104  # bound for a moment only, and never listened on


def ago(**span):
    return rfc3339(NOW - timedelta(**span))


class Data:
    """A data directory as a stopped HQ leaves it."""

    def __init__(self, folder):
        folder.mkdir(mode=0o700)
        self.settings = BridgeSettings(data_dir=folder, http=Http(port=0))
        self.path = folder / FILE_NAME
        open_writer(self.path).close()

    def sql(self, *statements):
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(*statement) if isinstance(statement, tuple) else connection.execute(
                    statement
                )

    def add_store(self, name, **columns):
        columns = {"store": name, "added_at": "then", "last_seen_at": ago(seconds=1)} | columns
        marks = ", ".join("?" * len(columns))
        insert = f"insert into store ({', '.join(columns)}) values ({marks})"  # noqa: S608 - our own names
        token = "insert into credential (hash, kind, name, added_at) values (?, 'store', ?, 'then')"
        self.sql((insert, tuple(columns.values())), (token, (os.urandom(16), name)))


@pytest.fixture
def data(tmp_path):
    return Data(tmp_path / "hq")


async def findings(settings):
    return [finding async for finding in examine(settings)]


async def said(settings, what):
    """(level, text with all that it counts, hint) of the lines about `what`."""
    return [(f.level, f.told(len(f.those)), f.hint) for f in await findings(settings) if f.what == what]


async def only(settings, what):
    [line] = await said(settings, what)
    return line


async def test_before_the_first_start_nothing_fails_and_nothing_is_made(tmp_path):
    settings = BridgeSettings(data_dir=tmp_path / "deep" / "hq", http=Http(port=0))
    found = await findings(settings)
    assert {f.what for f in found if f.level == "warn"} == {"bridge", "stores", "people"}
    assert all(f.hint for f in found if f.level != "ok")
    assert not {f.what for f in found if f.level == "FAIL"} - {"disk"}
    assert not list(tmp_path.iterdir())


async def test_a_stopped_hq_is_read_without_a_trace(data):
    data.add_store("s1")
    before = {file.name: file.read_bytes() for file in data.path.parent.iterdir()}
    assert await only(data.settings, "pages") == ("ok", "sound (quick_check)", "")
    assert (await only(data.settings, "database"))[1].endswith(f"schema {len(MIGRATIONS)}, WAL")
    assert {file.name: file.read_bytes() for file in data.path.parent.iterdir()} == before


async def test_beside_a_running_hq_its_bridge_port_and_stores_are_known(hq, store, make):
    await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 5))
    settings = hq.bridge.settings
    await hq.engine.save_heard({})
    level, text, _ = await only(settings, "bridge")
    assert (level, hq.url in text) == ("ok", True)
    assert await only(settings, "port") == ("ok", f"{hq.bridge.port}, our own bridge has it", "")
    assert await only(settings, "stores") == ("ok", "1, none offline", "")
    assert (await only(settings, "people"))[0] == "ok"
    assert (await said(settings, "database"))[0][0] == "ok"
    assert not {f.what for f in await findings(settings) if f.level == "FAIL"} - {"disk"}
    assert not await hq.audit_problems()


# --- the folder and its disk ------------------------------------------------------------------


async def test_a_folder_that_others_may_read_is_a_warning(data):
    data.path.parent.chmod(0o750)
    ok, opened = await said(data.settings, "data_dir")
    assert (ok[0], opened[0], "drwxr-x---" in opened[1]) == ("ok", "warn", True)
    assert "chmod 700" in opened[2]


def test_another_users_folder_and_a_file_of_another_user_are_told(data):
    folder, file = data.path.parent, data.path
    assert place.judge_owner(folder, [file], uid=os.getuid()) is None
    assert place.judge_owner(folder, [file], uid=os.getuid() + 1).level == "warn"
    if os.getuid() == 0:
        os.chown(file, 1, -1)
    else:
        file = Path("/etc/passwd")
    found = place.judge_owner(folder, [file], uid=os.getuid())
    assert (found.level, file.name in found.text) == ("FAIL", True)
    assert found.hint.startswith(f"chown {os.getuid()} ")


async def test_a_data_dir_that_is_a_file_fails(tmp_path):
    (tmp_path / "hq").touch()
    settings = BridgeSettings(data_dir=tmp_path / "hq", http=Http(port=0))
    assert [line[0] for line in await said(settings, "data_dir")] == ["FAIL"]


@pytest.mark.parametrize(
    ("used", "free", "size", "level"),
    [(84, 16, 1, "ok"), (85, 15, 1, "warn"), (95, 5, 1, "FAIL"), (50, 50, 50, "ok"), (50, 50, 51, "warn")],
)
def test_a_disk_is_judged_by_its_share_and_by_room_for_a_second_database(used, free, size, level):
    found = place.judge_room(used=used * 2**30, free=free * 2**30, size=size * 2**30)
    assert (found.level, bool(found.hint)) == (level, level != "ok")


def test_a_small_size_is_not_0_mib():
    assert [place.space(size) for size in (200_704, 2**20, 1_600_000)] == ["196 KiB", "1.0 MiB", "1.5 MiB"]


# --- the database -------------------------------------------------------------------------------


async def test_an_older_schema_is_a_warning_and_a_newer_one_fails(data):
    data.sql(f"pragma user_version = {len(MIGRATIONS) - 1}")
    level, text, hint = await only(data.settings, "database")
    assert (level, f"upgraded to {len(MIGRATIONS)}" in text, "backup first" in hint) == ("warn", True, True)
    assert await said(data.settings, "stores") == []
    data.sql(f"pragma user_version = {len(MIGRATIONS) + 1}")
    level, text, hint = await only(data.settings, "database")
    assert (level, "newer version" in hint) == ("FAIL", True)


async def test_a_damaged_page_and_a_file_that_is_no_database_fail(data):
    data.sql(
        "create table filler (a integer primary key, b text)",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 200)"
        " insert into filler select i, hex(zeroblob(400)) from n",
    )
    with data.path.open("r+b") as file:
        file.seek(-3 * 4096, os.SEEK_END)
        file.write(b"\xaa" * 4096)
    level, text, hint = await only(data.settings, "pages")
    assert (level, "is damaged" in text, "restore" in hint) == ("FAIL", True, True)
    data.path.write_bytes(b"not a database at all" * 400)
    level, text, _ = await only(data.settings, "database")
    assert (level, "not a database" in text) == ("FAIL", True)


async def test_a_wal_that_does_not_shrink_is_a_warning(data):
    with closing(open_writer(data.path)) as writer:
        writer.execute("insert into store (store, added_at) values ('s1', 'then')")
        os.truncate(f"{data.path}-wal", WAL_WARN_BYTES + 1)
        _, wal = await said(data.settings, "database")
    assert (wal[0], "does not shrink" in wal[1]) == ("warn", True)


# --- the address --------------------------------------------------------------------------------


async def test_a_port_that_another_program_has_fails(data):
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = data.settings.model_copy(update={"http": Http(port=other.getsockname()[1])})
        level, text, hint = await only(settings, "port")
    assert (level, "already in use" in text, "http.port" in hint) == ("FAIL", True, True)
    assert (await only(settings, "port"))[0] == "ok"


async def test_a_port_is_tried_on_each_address_of_its_host(data, monkeypatch):
    def resolve(_host, port, *_args, **_options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (at, port)) for at in ("127.0.0.1", "127.0.0.2")]

    with socket.create_server(("127.0.0.2", 0)) as other:
        http = Http(host="localhost", port=other.getsockname()[1])
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        level, text, _ = await only(data.settings.model_copy(update={"http": http}), "port")
    assert (level, "127.0.0.2" in text) == ("FAIL", True)


@pytest.mark.parametrize(("port", "level"), [(443, "warn"), (8443, "FAIL")])
def test_a_low_port_may_be_the_services_only(port, level):
    refused = PermissionError(errno.EACCES, "permission denied")
    found = address.judge_refusal(Http(port=port), refused, is_running=False)
    assert (found.level, "CAP_NET_BIND_SERVICE" in found.text) == (level, level == "warn")


async def test_a_bridge_that_is_too_old_to_say_how_it_is_may_have_the_port(data):
    async def answer(line):
        assert json.loads(line)["command"] == "status"
        return {"error": {"code": "E-BAD-REQUEST", "message": "there is no command 'status'", "hint": ""}}

    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = data.settings.model_copy(update={"http": Http(port=other.getsockname()[1])})
        async with command_socket.listening(data.path.parent, answer):
            assert await only(settings, "bridge") == (
                "warn",
                "runs in another version",
                "restart cloud-bridge",
            )
            assert (await only(settings, "port"))[0] == "warn"


async def test_beyond_loopback_without_tls_is_a_warning(data):
    http = Http(host=EVERYWHERE, port=0, allow_insecure=True)
    level, text, hint = await only(data.settings.model_copy(update={"http": http}), "TLS")
    assert (level, EVERYWHERE in text, "cert_file" in hint) == ("warn", True, True)
    assert await said(data.settings, "TLS") == []


async def test_a_certificate_is_told_when_it_ends_and_fails_when_it_has(own_certificate, data):
    key, certificate = own_certificate
    http = Http(port=0, cert_file=certificate, key_file=key)
    level, text, _ = await only(data.settings.model_copy(update={"http": http}), "TLS")
    ends = utc_now() + timedelta(days=2)
    assert (level, f"expires at {rfc3339(ends)[:13]}" in text) == ("warn", True)
    judged = [
        address.judge_certificate(certificate, key, now=ends + timedelta(days=days)).level
        for days in (-40, -31, -29, 1)
    ]
    assert judged == ["ok", "ok", "warn", "FAIL"]
    key.write_text("no key")
    assert address.judge_certificate(certificate, key, now=NOW).level == "FAIL"


# --- backups ------------------------------------------------------------------------------------


async def test_with_safe_backup_it_says_how_many_rows_stores_hold_back(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq", safe="backup") as hq:
        settings = hq.bridge.settings
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.planogram(("A1", make.COLA)), make.stock("A1", 5), make.stock("A1", 4))
        assert (await only(settings, "safe"))[
            1
        ] == "backup: stores keep 3 rows until one holds them, in 1 store: s1 3"
        assert (await only(settings, "backup"))[:2] == ("warn", "none on record")
        await hq.backup(tmp_path / "copy")
        assert (await only(settings, "safe"))[1] == "backup: the newest one holds every row"
        assert (await only(settings, "backup"))[0] == "ok"


async def test_a_backup_that_is_older_than_a_day_is_a_warning(data):
    data.sql(("insert into backup (at, path, size) values (?, '/b/one', 1)", (ago(hours=23),)))
    assert (await only(data.settings, "backup"))[0] == "ok"
    data.sql(("update backup set at = ?", (ago(hours=50),)))
    level, text, hint = await only(data.settings, "backup")
    assert (level, text, "cloud-bridge backup" in hint) == ("warn", "the newest is 50 h old: /b/one", True)
    assert "single copy" in (await only(data.settings, "safe"))[1]


# --- stores and people --------------------------------------------------------------------------


async def test_silent_stores_are_told_the_longest_first_while_hq_runs(hq):
    for name in ("s1", "s2", "s3", "gone"):
        await hq.new_store(name)
    await hq.command("store revoke", name="gone")
    heard = {"s1": ago(minutes=3), "s2": ago(hours=3), "s3": None}
    await hq.engine.writer.submit(
        lambda tx: tx.connection.executemany(
            "update store set last_seen_at = ? where store = ?", [(at, name) for name, at in heard.items()]
        )
    )
    level, text, hint = await only(hq.bridge.settings, "stores")
    assert (level, bool(hint)) == ("warn", True)
    assert text == f"3 of 3 offline: s2 since {heard['s2']}, s1 since {heard['s1']}, s3 never heard"


async def test_who_is_offline_is_not_judged_by_a_stopped_hq(data):
    data.add_store("s1", last_seen_at=ago(days=2))
    assert await only(data.settings, "stores") == ("ok", "1; who is online shows when HQ runs", "")


async def test_clocks_differences_rows_set_aside_left_disks_and_devices_are_told_with_their_stores(data):
    data.add_store("fine", clock_offset_ms=2_000, differences=1, differed_at=ago(hours=25))
    data.add_store("odd", clock_offset_ms=-65_000, differences=7, differed_at=ago(hours=1))
    data.add_store("late", clock_offset_ms=2_100)
    branch = f"{BRANCH} (?, 1, 'b', 0, x'', 0, x'', ?, ?)"
    aside = "insert into set_aside values (?, ?, 1, ?, 'why')"
    data.sql(
        *[(aside, ("odd", n, "quarantined")) for n in range(3)],
        (aside, ("late", 1, "parked")),
        (branch, ("odd", ago(hours=2), "fork")),
        (branch, ("fine", ago(hours=30), "fork")),
        (branch, ("late", ago(hours=1), "first")),
        "insert into device values ('odd', 'd1', 'mt-sics', 'offline', 'silent', 'then', null)",
        "insert into device values ('odd', 'd2', 'mt-sics', 'online', null, 'then', null)",
    )  # fmt: skip
    found = {f.what: f for f in await findings(data.settings)}
    told = {what: (f.level, f.those) for what, f in found.items() if f.those}
    assert told == {
        "clocks": ("warn", ("odd 65.0 s ahead", "late 2.1 s behind")),
        "quarantined": ("warn", ("odd 3",)),
        "parked": ("warn", ("late 1",)),
        "counts": ("warn", ("odd 7 times so far",)),
        "history": ("warn", ("odd 1",)),
        "devices": ("warn", ("odd 1",)),
    }
    assert found["devices"].text == "1 of 2 offline"
    assert found["quarantined"].hint == "cloud-bridge audit odd says which and why"
    assert all(found[what].hint for what in told)


async def test_a_store_whose_token_is_revoked_is_not_judged(data):
    data.add_store("gone", branch=1, clock_offset_ms=9_000, differences=1, differed_at=ago(hours=1))
    data.sql(
        "insert into set_aside values ('gone', 1, 1, 'quarantined', 'why'), ('gone', 2, 1, 'parked', 'why')",
        "insert into device values ('gone', 'd1', 'mt-sics', 'offline', 'silent', 'then', null)",
        (f"{BRANCH} (?, 1, 'b', 0, x'', 9, x'', ?, 'fork')", ("gone", ago(hours=1))),
    )
    settings = data.settings.model_copy(update={"safe": "backup"})
    judged = {"clocks", "quarantined", "parked", "counts", "history", "devices", "safe"}
    assert {f.what for f in await findings(settings) if f.those} == judged
    data.sql("update credential set revoked_at = 'now'")
    assert not [f for f in await findings(settings) if f.those]
    assert await only(settings, "devices") == ("ok", "0, none offline", "")


async def test_nobody_who_is_admin_is_a_warning(data):
    data.sql(
        "insert into person values ('lin', 'ops', 'then')",
        "insert into credential values (x'01', 'api', 'old', 'admin', 'then', 'since')",
    )
    assert (await only(data.settings, "people"))[0] == "warn"
    data.sql("insert into credential values (x'02', 'api', 'new', 'admin', 'then', null)")
    assert (await only(data.settings, "people"))[:2] == ("ok", "1 admin, people and tokens")


async def test_of_5000_stores_three_are_on_the_line_and_all_in_the_json(data, capsys):
    names = [f"s{n:04}" for n in range(5_000)]
    with closing(sqlite3.connect(data.path)) as connection:
        connection.executemany(
            "insert into store (store, added_at, clock_offset_ms) values (?, 'then', 3000)",
            [(n,) for n in names],
        )
        connection.executemany(
            "insert into credential (hash, kind, name, added_at) values (?, 'store', ?, 'then')",
            [(n.encode(), n) for n in names],
        )
        connection.commit()
    began = time.monotonic()
    assert await tell_lines(examine(data.settings)) in (0, 1)
    assert time.monotonic() - began < 10
    lines = capsys.readouterr().out.splitlines()
    [clocks] = [line for line in lines if " clocks " in line]
    assert clocks == (
        "warn  clocks         5000 stores more than 2 s from HQ's:"
        " s0000 3.0 s behind, s0001 3.0 s behind, s0002 3.0 s behind and 4997 more"
    )
    assert max(len(line) for line in lines) < 250
    await tell_json(examine(data.settings))
    facts = json.loads(capsys.readouterr().out)
    assert all(set(fact) == {"level", "what", "text", "hint"} for fact in facts)
    [clocks] = [fact for fact in facts if fact["what"] == "clocks"]
    assert clocks["text"].count(" behind") == 5_000
