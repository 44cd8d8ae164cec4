"""HQ restored from a backup: agents send the rest again, readers keep their place, a kill loses nothing."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from cloud_bridge.app import restore
from cloud_bridge.config import BridgeSettings
from cloud_bridge.store.sqlite import restore as restoring
from cloud_bridge.store.sqlite.audit import audit
from cloud_bridge.store.sqlite.schema import FILE_NAME, MIGRATIONS, open_writer


@asynccontextmanager
async def restored(start_hq, tmp_path, make, *, later=3):
    """HQ at its fifth row again, after it had `later` more; yields it, the store's wire, all events of before."""
    async with start_hq(tmp_path / "hq", safe="backup") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(*(make.stock("A1", n) for n in range(1, 6)))
        await hq.backup(tmp_path / "b")
        if later:
            await store.tell(*(make.stock("A1", 5 + n) for n in range(1, later + 1)))
        events, settings = await hq.events(), hq.bridge.settings
    restore(settings, tmp_path / "b")
    async with start_hq(tmp_path / "hq", safe="backup") as hq:
        yield hq, await hq.again(store), store, events


async def test_agents_send_again_what_the_backup_lacks(start_hq, tmp_path, make):
    async with restored(start_hq, tmp_path, make) as (hq, store, before, _):
        assert await hq.shown() == {"A1": 5}
        store.session, store.branch = before.session, before.branch
        with pytest.raises(make.Refused) as refused:
            await store.send(9, 8)
        assert refused.value.code == "stale_session"
        hello = await store.hello()
        assert (hello["applied"][0], hello["safe"], store.branch) == (5, 5, before.branch)
        assert (await store.send())["applied"][0] == 8
        assert await hq.shown() == await hq.sums() == {"A1": 8}
        assert await hq.audit_problems() == []


async def test_a_feed_reader_keeps_its_place_up_to_the_backup(start_hq, tmp_path, make):
    async with restored(start_hq, tmp_path, make) as (hq, store, _, events):
        await store.hello()
        await store.send()
        for seen in range(1, 6):
            page = await hq.get("/v1/events", after=events[seen - 1]["cursor"])
            assert [event["eid"] for event in page["items"]] == [event["eid"] for event in events[seen:]]
            assert page["next_cursor"].split(".")[0] != events[0]["cursor"].split(".")[0]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/stream"])
async def test_a_cursor_from_after_the_backup_is_refused_with_what_to_do(start_hq, tmp_path, make, path):
    async with restored(start_hq, tmp_path, make) as (hq, store, _, events):
        await store.hello()
        await store.send()  # the feed is as long as it was: a number alone would look right
        with pytest.raises(make.Refused) as refused:
            await hq.get(path, after=events[5]["cursor"])
        assert (refused.value.status, refused.value.code) == (400, "E-CURSOR-EXPIRED")
        assert refused.value.problem["hint"] == "read the facings, then go on live"
        with pytest.raises(make.Refused) as strange:
            await hq.get(path, after="abcdef01.1")
        assert strange.value.code == "E-BAD-REQUEST"


async def test_a_stream_goes_on_by_an_id_of_before_the_restore(start_hq, tmp_path, make):
    async with restored(start_hq, tmp_path, make) as (hq, store, _, events):
        await store.hello()
        headers = {"Authorization": f"Bearer {hq.token}", "Last-Event-ID": events[3]["cursor"]}
        async with hq.http.get(f"{hq.url}/v1/stream", headers=headers) as stream:
            assert stream.status == 200
            await store.send()
            found = []
            while len(found) < 4:
                line = (await stream.content.readline()).decode()
                found += [line] if line.startswith("data: ") else []
        assert all(event["eid"] in line for event, line in zip(events[4:], found, strict=True))


async def test_names_of_the_feed_are_known_through_several_restores(start_hq, tmp_path, make):
    """The second backup restored is older than the first: its own feed never had the names in between."""
    data = tmp_path / "hq"
    cursors: dict[int, list[str]] = {}
    for number, source in ((1, None), (2, "b1"), (3, "b1"), (4, "b2")):
        if source:
            restore(BridgeSettings(data_dir=data), tmp_path / source)
        async with start_hq(data) as hq:
            store = await hq.new_store(f"s{number}")
            await store.hello()
            await store.tell(*(make.stock("A1", n) for n in range(1, 4)))
            if number < 3:
                await hq.backup(tmp_path / f"b{number}")
            await store.tell(*(make.stock("A1", n) for n in range(4, 8)))
            cursors[number] = [event["cursor"] for event in await hq.events()]
            good = {
                name: [await is_taken(hq, cursor) for cursor in of].count(True)
                for name, of in cursors.items()
            }
        assert good[number] == len(cursors[number])
    # b2 holds the 3 events of b1 and 3 of its own time; the third HQ went on from b1, so they part at 3.
    assert good == {1: 3, 2: 6, 3: 3, 4: 13}


async def is_taken(hq, cursor) -> bool:
    headers = {"Authorization": f"Bearer {hq.token}"}
    async with hq.http.get(f"{hq.url}/v1/events", params={"after": cursor}, headers=headers) as reply:
        problem = await reply.json(content_type=None)
        assert reply.status == 200 or problem["code"] == "E-CURSOR-EXPIRED"
        return reply.status == 200


async def test_a_login_link_that_may_be_used_up_is_gone_and_tokens_are_the_backups(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq") as hq:
        await hq.command("user add", name="lin", role="ops")
        old = (await hq.command("token add", name="old", role="viewer"))["token"]
        await hq.backup(tmp_path / "b")
        new = (await hq.command("token add", name="new", role="viewer"))["token"]
        settings = hq.bridge.settings
    restore(settings, tmp_path / "b")
    with closing(open_writer(tmp_path / "hq" / FILE_NAME)) as connection:
        assert connection.execute("select count(*) from login_link").fetchone() == (0,)
        assert connection.execute("select name from person").fetchall() == [("lin",)]
    async with start_hq(tmp_path / "hq") as hq:
        assert (await hq.get("/v1/stores", token=old))["items"] == []
        with pytest.raises(make.Refused):
            await hq.get("/v1/stores", token=new)


async def test_a_backup_of_the_version_before_becomes_one_of_this(tmp_path):
    old = tmp_path / "old"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        for script in MIGRATIONS[:-1]:
            connection.executescript(script)
        connection.execute(f"pragma user_version = {len(MIGRATIONS) - 1}")
        connection.execute("insert into meta values ('feed_epoch', 'aa')")
        connection.execute("insert into store (store, added_at) values ('s1', 'then')")
    facts = restore(BridgeSettings(data_dir=tmp_path / "hq"), old)
    assert (facts["schema_version"], facts["stores"], facts["kept"]) == (len(MIGRATIONS), 1, None)
    assert [result.store for result in audit(tmp_path / "hq" / FILE_NAME)] == ["s1"]


async def test_a_kill_at_any_step_leaves_the_old_database_or_the_restored_one(
    start_hq, tmp_path, make, monkeypatch
):
    """And the next start finishes it. The old one has commits in its WAL, as after a kill of HQ."""
    async with start_hq(tmp_path / "made") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.stock("A1", 1))
        await hq.backup(tmp_path / "b")
        await store.tell(make.stock("A1", 2))
        killed = tmp_path / "killed"
        killed.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / "made" / f"{FILE_NAME}{suffix}", killed)
    assert (killed / f"{FILE_NAME}-wal").stat().st_size

    outcomes = []
    for step in range(30):
        data = tmp_path / f"cut-{step}"
        shutil.copytree(killed, data)
        with monkeypatch.context() as patched:
            cut = Cut(step)
            for name in ("rename", "unlink"):
                patched.setattr(Path, name, cut.before(getattr(Path, name)))
            patched.setattr(restoring, "sync_file", cut.before(restoring.sync_file))
            try:
                restore(BridgeSettings(data_dir=data), tmp_path / "b")
            except PowerCut:
                pass
            else:
                break
        async with start_hq(data) as hq:
            outcomes.append((await hq.shown())["A1"])
            assert await hq.audit_problems() == []
            kept = [path.name for path in data.iterdir() if ".before-restore-" in path.name]
            assert bool(kept) == (outcomes[-1] == 1)
        assert not list(data.glob("*.restored-*"))
    assert set(outcomes) == {1, 2}
    assert outcomes == sorted(outcomes, reverse=True)


class PowerCut(BaseException):
    """Nothing runs after it: neither `except` nor `finally` of ours may count on being reached."""


class Cut:
    """Lets `steps` calls through, then none: not even those that would tidy up."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def before(self, call):
        def cut(*args, **kwargs):
            if self.left <= 0:
                raise PowerCut(errno.EIO)
            self.left -= 1
            return call(*args, **kwargs)

        return cut
