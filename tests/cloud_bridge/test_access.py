"""Who may do what: roles, one-time links, cookies and their CSRF token, revocation."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest

from cloud_bridge import auth
from edge_agent.contract.times import parse_rfc3339

pytestmark = pytest.mark.engines


@pytest.fixture
async def browser(hq):
    """A person's browser: keeps cookies of an address, follows no redirect."""
    async with aiohttp.ClientSession(hq.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def log_in(hq, browser, name="lin", role="ops"):
    link = urlsplit((await hq.command("user add", name=name, role=role))["url"])
    return await browser.get(f"{link.path}?{link.query}", allow_redirects=False)


async def test_a_one_time_link_logs_in_once(hq, browser):
    reply = await log_in(hq, browser)
    assert (reply.status, reply.headers["Location"]) == (303, "/")
    cookie = reply.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    async with browser.get("/v1/me") as me:
        assert (await me.json()).items() >= {"name": "lin", "role": "ops"}.items()
    async with browser.get(str(reply.url.relative()), allow_redirects=False) as again:
        assert again.status == 403
    async with browser.get("/v1/stores") as stores:
        assert stores.status == 200


@pytest.mark.one_engine
async def test_a_preview_of_the_link_does_not_use_it_up(hq, browser):
    link = urlsplit((await hq.command("user add", name="lin", role="ops"))["url"])
    async with browser.head(f"{link.path}?{link.query}", allow_redirects=False) as preview:
        assert preview.status == 405
    async with browser.get(f"{link.path}?{link.query}", allow_redirects=False) as reply:
        assert reply.status == 303


@pytest.mark.one_engine
async def test_an_old_link_is_refused(hq, browser, monkeypatch):
    monkeypatch.setattr(auth, "LINK_LIFE", timedelta(seconds=-1))
    assert (await log_in(hq, browser)).status == 403


@pytest.mark.one_engine
async def test_a_cookie_needs_its_csrf_token_to_write(hq, browser):
    await log_in(hq, browser)
    async with browser.get("/v1/me") as me:
        csrf = (await me.json())["csrf"]
    for headers in ({}, {"X-CSRF-Token": "wrong"}):
        async with browser.post("/v1/logout", headers=headers) as refused:
            assert refused.status == 403
    async with browser.post("/v1/logout", headers={"X-CSRF-Token": csrf}) as done:
        assert done.status == 204
    async with browser.get("/v1/me") as me:
        assert me.status == 401


@pytest.mark.one_engine
async def test_a_csrf_token_that_is_no_text_is_wrong(hq, browser):
    reply = await log_in(hq, browser)
    head = f"POST /v1/logout HTTP/1.1\r\nHost: hq\r\nCookie: {auth.COOKIE}={reply.cookies[auth.COOKIE].value}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", hq.bridge.port)
    writer.write(head.encode() + b"X-CSRF-Token: \xff\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"403"
    writer.close()


@pytest.mark.one_engine
async def test_a_stream_does_not_outlive_its_login(hq, store, make, browser, monkeypatch):
    await log_in(hq, browser)
    async with browser.get("/v1/stream") as reply:
        assert await reply.content.readline() == b": follows\n"
        monkeypatch.setattr(auth, "utc_now", lambda: parse_rfc3339("2998-01-01T00:00:00.000Z"))
        await store.tell(make.stock("A1", 1))
        assert await asyncio.wait_for(reply.read(), 10) == b"\n"


@pytest.mark.one_engine
async def test_the_cookie_of_a_logged_out_browser_is_worth_nothing(hq, browser):
    reply = await log_in(hq, browser)
    stolen = {"Cookie": f"{auth.COOKIE}={reply.cookies[auth.COOKIE].value}"}
    async with browser.get("/v1/me") as me:
        csrf = (await me.json())["csrf"]
    await browser.post("/v1/logout", headers={"X-CSRF-Token": csrf})
    async with hq.http.get(f"{hq.url}/v1/me", headers=stolen) as me:
        assert me.status == 401


async def test_a_revoked_person_is_out_at_once(hq, browser):
    await log_in(hq, browser)
    await hq.command("user revoke", name="lin")
    async with browser.get("/v1/stores") as reply:
        assert reply.status == 401


async def test_logins_survive_a_restart(start_hq, tmp_path):
    async with start_hq(tmp_path / "hq") as hq, aiohttp.ClientSession(hq.url) as browser:
        cookie = (await log_in(hq, browser)).cookies[auth.COOKIE].value
    async with start_hq(tmp_path / "hq") as hq:
        headers = {"Cookie": f"{auth.COOKIE}={cookie}"}
        async with hq.http.get(f"{hq.url}/v1/me", headers=headers) as me:
            assert (await me.json())["name"] == "lin"


@pytest.mark.one_engine
async def test_no_secret_is_in_the_database(hq, browser):
    store = await hq.new_store()
    cookie = (await log_in(hq, browser)).cookies[auth.COOKIE].value
    with closing(sqlite3.connect(hq.data_dir / "bridge.sqlite3")) as connection:
        dump = "\n".join(connection.iterdump())
    for secret in (store.token, hq.token, cookie):
        assert secret not in dump
        assert secret.encode().hex().upper() not in dump.upper()


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer nobody", "bearer \u00e9"])
@pytest.mark.one_engine
async def test_what_is_no_token_is_401(hq, header):
    async with hq.http.get(f"{hq.url}/v1/stores", headers={"Authorization": header}) as reply:
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.one_engine
async def test_a_store_gets_a_new_token_only_after_the_old_one_ended(hq):
    first = await hq.new_store()
    with pytest.raises(Exception, match="already has a token"):
        await hq.command("store add", name="s1")
    await hq.command("store revoke", name="s1")
    second = await hq.new_store()
    assert first.token != second.token
    await second.hello()
