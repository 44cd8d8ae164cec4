"""The page's shell and static files: headers, policy, caching, and an install that was not built."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from cloud_bridge import pages

WEB = pages.WEB
Client = TestClient[web.Request, web.Application]
needs_assets = pytest.mark.skipif(
    not (WEB / "vendor" / "manifest.json").exists(),
    reason="page assets are not built; make setup builds them",
)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    pages.add_pages(app)
    async with TestClient(TestServer(app)) as client:
        yield client


@needs_assets
async def test_the_only_inline_script_is_the_import_map_and_the_policy_names_its_hash(client: Client) -> None:
    reply = await client.get("/")
    html = await reply.text()
    inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", html, re.DOTALL)
    assert len(inline) == 1
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    policy = reply.headers["Content-Security-Policy"]
    assert f"script-src 'self' 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@needs_assets
async def test_every_address_that_the_shell_and_its_modules_name_is_served(client: Client) -> None:
    html = await (await client.get("/")).text()
    import_map = json.loads(re.findall(r'<script type="importmap">(.*?)</script>', html)[0])["imports"]
    addresses = {*re.findall(r'(?:src|href)="(/[^"]+)"', html), *import_map.values()}
    for module in WEB.rglob("*.js"):
        for name in re.findall(r"from '([^']+)'", module.read_text(encoding="utf-8")):
            if name.startswith("."):
                found = (module.parent / name).resolve().relative_to(WEB)
                addresses.add(f"{pages.STATIC}/{found.as_posix()}")
            else:
                assert name in import_map, f"{module.name} imports {name}, which the import map lacks"
    for address in sorted(addresses):
        assert (await client.get(address)).status == 200, address


@needs_assets
async def test_vendor_files_are_kept_for_ever_and_our_own_are_asked_for_again(client: Client) -> None:
    vendor = json.loads((WEB / "vendor" / "manifest.json").read_text(encoding="utf-8"))["assets"]["htm"]
    kept = await client.get(f"/static/vendor/{vendor}")
    assert kept.headers["Cache-Control"] == pages.FOR_EVER
    assert kept.content_type.endswith("javascript")
    own = await client.get("/static/app.js")
    assert own.headers["Cache-Control"] == pages.REVALIDATE
    again = await client.get("/static/app.js", headers={"If-None-Match": own.headers["ETag"]})
    assert again.status == 304
    missing = await client.get("/static/vendor/preact-0.0.1.mjs")
    assert (missing.status, missing.headers["Cache-Control"]) == (404, pages.REVALIDATE)


async def test_every_reply_forbids_sniffing_and_sends_no_referrer(client: Client) -> None:
    for path in ("/", "/static/app.css"):
        reply = await client.get(path)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py"])
async def test_nothing_beside_the_web_folder_is_served(client: Client, path: str) -> None:
    assert (await client.get(path)).status in {403, 404}


async def test_an_install_without_assets_names_the_command_that_builds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "WEB", tmp_path)
    app = web.Application()
    pages.add_pages(app)
    async with TestClient(TestServer(app)) as client:
        reply = await client.get("/")
        assert reply.status == 503
        assert "make setup" in await reply.text()
        assert "script-src 'self'" in reply.headers["Content-Security-Policy"]


def test_the_catalogues_have_the_same_keys_and_no_empty_text() -> None:
    en, zh = (
        json.loads((WEB / "i18n" / f"{tag}.json").read_text(encoding="utf-8")) for tag in ("en", "zh-CN")
    )
    assert list(en) == list(zh)
    assert all(en.values())
    assert all(zh.values())
    placeholders = re.compile(r"\{(\w+)\}")
    for key in en:
        assert set(placeholders.findall(en[key])) == set(placeholders.findall(zh[key])), key


def test_every_fixed_key_in_the_modules_is_in_the_catalogue() -> None:
    en = json.loads((WEB / "i18n" / "en.json").read_text(encoding="utf-8"))
    for module in WEB.rglob("*.js"):
        for key in re.findall(r"\bt\('([a-z_.]+)'", module.read_text(encoding="utf-8")):
            assert key in en or f"{key}.other" in en, f"{module.name} says {key}"
