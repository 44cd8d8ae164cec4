"""Who gets to the camera page over real HTTP, who does not, and what every answer says to a browser."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from edge_agent.config.camera_page import CameraPage
from edge_agent.contract.errors import ConfigError
from edge_agent.page.access import COOKIE, SESSION_S, WRONG_TOKENS, WRONG_WINDOW_S, Access

if TYPE_CHECKING:
    from tests.edge_agent.page.conftest import Running

TOKEN = "0123456789abcdef-token"


async def status_of(http: aiohttp.ClientSession, url: str, method: str = "GET", **more: Any) -> int:
    async with http.request(method, url, **more) as answer:
        return answer.status


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/v1/cameras", "/v1/cameras/none", "/nowhere"])
async def test_every_answer_forbids_strange_scripts_frames_and_caches(running: Running, path: str) -> None:
    async with running() as page, aiohttp.ClientSession() as http, http.get(page.url + path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_nothing_but_the_pages_own_files_can_be_fetched(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        for path in (
            "/static/../page/access.py",
            "/static/%2e%2e/cli.py",
            "/static/..%2fcli.py",
            "/static//etc/passwd",
        ):
            async with http.get(aiohttp.client.URL(page.url + path, encoded=True)) as answer:
                assert answer.status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8788", "127.0.0.1.evil.example", "[::1", ""])
async def test_a_strange_name_that_leads_to_loopback_is_not_answered(running: Running, host: str) -> None:
    """DNS rebinding: the browser would take his page and ours for one site."""
    async with running() as page, aiohttp.ClientSession() as http:
        for path in ("/", "/v1/cameras", "/v1/cameras/cam-door/view"):
            assert await status_of(http, page.url + path, headers={"Host": host}) in (400, 421)


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8788"])
async def test_names_of_this_machine_are_answered_whatever_the_port(running: Running, host: str) -> None:
    """As through `ssh -L 9000:127.0.0.1:8788`."""
    async with running() as page, aiohttp.ClientSession() as http:
        assert await status_of(http, f"{page.url}/v1/cameras", headers={"Host": host}) == 200


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
async def test_another_sites_page_can_neither_change_nor_watch(running: Running, origin: str | None) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        headers = {} if origin is None else {"Origin": origin.format(port=page.server.port)}
        one = f"{page.url}/v1/cameras/cam-door"
        assert await status_of(http, f"{one}/drawing", "PUT", json={}, headers=headers) == 403
        assert await status_of(http, f"{one}/drawing", "DELETE", headers=headers) == 403
        assert await status_of(http, f"{page.url}/v1/logout", "POST", headers=headers) == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{one}/view", headers=headers)
        assert refused.value.status == 403
        upgrade = {**headers, "Connection": "Upgrade", "Upgrade": "WebSocket, other"}
        assert await status_of(http, f"{one}/view", headers=upgrade) == 403
        assert page.redrawn == []


async def test_with_a_token_nothing_of_the_store_is_told_before_the_login(
    running: Running, token_file: Path
) -> None:
    async with running({"token_file": str(token_file)}) as page, aiohttp.ClientSession() as http:
        assert await status_of(http, page.url) == 200
        for method, path in (
            ("GET", ""),
            ("GET", "/cam-door"),
            ("GET", "/none"),
            ("PUT", "/cam-door/drawing"),
        ):
            url = f"{page.url}/v1/cameras{path}"
            assert await status_of(http, url, method, headers=page.origin) == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{page.url}/v1/cameras/cam-door/view", headers=page.origin)
        assert refused.value.status == 401


async def test_a_login_gives_a_strict_cookie_and_its_end_ends_the_open_view(
    running: Running, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running({"token_file": str(token_file)}) as page:
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            async with http.post(
                f"{page.url}/v1/login", json={"token": TOKEN}, headers=page.origin
            ) as answer:
                assert answer.status == 204
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie
                assert "SameSite=Strict" in cookie
                assert "Secure" not in cookie
                assert TOKEN not in cookie
            assert await status_of(http, f"{page.url}/v1/cameras") == 200
            async with http.ws_connect(f"{page.url}/v1/cameras/cam-door/view", headers=page.origin) as view:
                assert (await view.receive_json())["kind"] == "state"
                assert await status_of(http, f"{page.url}/v1/logout", "POST", headers=page.origin) == 204
                async with asyncio.timeout(5):
                    assert (await view.receive()).data == 4401
            assert await status_of(http, f"{page.url}/v1/cameras") == 401
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "logged in as session" in said
    assert TOKEN not in said
    assert cookie.split("=")[1].split(";")[0] not in said


async def test_after_some_wrong_tokens_the_right_one_is_not_looked_at_either(
    running: Running, token_file: Path
) -> None:
    async with running({"token_file": str(token_file)}) as page, aiohttp.ClientSession() as http:

        async def log_in(body: Any) -> int:
            return await status_of(http, f"{page.url}/v1/login", "POST", json=body, headers=page.origin)

        for body in ({"token": ""}, {"token": TOKEN[:-1]}, {"token": "\u00e9"}, {"token": TOKEN + "x"}):
            assert await log_in(body) == 401
        for body in ([], {"token": 7}, {}, None):
            assert await log_in(body) == 401
        assert await log_in({"token": "fifth"}) == 429
        assert await log_in({"token": TOKEN}) == 429


def test_wrong_tokens_are_forgotten_with_time_and_are_each_addresses_own(token_file: Path) -> None:
    now = [0.0]
    access = Access(CameraPage(token_file=token_file), TOKEN, clock_s=lambda: now[0])
    for _ in range(WRONG_TOKENS):
        assert access.log_in("wrong", "10.0.0.1") is None
    assert access.log_in(TOKEN, "10.0.0.1") is None
    assert access.log_in(TOKEN, "10.0.0.2") is not None
    now[0] = WRONG_WINDOW_S + 1
    opened = access.log_in(TOKEN, "10.0.0.1")
    assert opened is not None
    assert access.lasts(opened[1])
    now[0] += SESSION_S
    assert not access.lasts(opened[1])


def test_a_token_that_could_be_guessed_is_refused_at_the_start(token_file: Path) -> None:
    with pytest.raises(ConfigError, match="less than 16 characters"):
        Access(CameraPage(token_file=token_file), "short")


async def test_over_tls_the_cookie_is_secure(
    running: Running, token_file: Path, own_certificate: tuple[Path, Path]
) -> None:
    key, certificate = own_certificate
    settings = {
        "token_file": str(token_file),
        "cert_file": str(certificate),
        "key_file": str(key),
        "host": "0.0.0.0",  # noqa: S104 - beyond loopback is what is tested
    }
    trust = ssl.create_default_context(cafile=certificate)
    async with running(settings) as page, aiohttp.ClientSession() as http:
        url = f"https://127.0.0.1:{page.server.port}"
        headers = {"Origin": url}
        async with http.post(f"{url}/v1/login", json={"token": TOKEN}, headers=headers, ssl=trust) as answer:
            assert answer.status == 204
            assert answer.headers["Set-Cookie"].startswith(f"{COOKIE}=")
            assert "Secure" in answer.headers["Set-Cookie"]
        with pytest.raises(aiohttp.ClientError):
            await status_of(http, page.url)
