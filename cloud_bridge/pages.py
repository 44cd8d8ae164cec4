"""HQ's page: one HTML shell, its static files, and the headers that keep a browser strict."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from aiohttp import web

WEB: Final = Path(__file__).parent / "web"
STATIC: Final = "/static"
BUILD_COMMAND: Final = "make setup"

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

# The page's own files may change with an upgrade and are revalidated; a vendor file's name holds its version.
REVALIDATE: Final = "no-cache"
FOR_EVER: Final = "public, max-age=31536000, immutable"


def add_pages(app: web.Application) -> None:
    """Serve `/` and `/static/…` from `cloud_bridge/web` and add security headers to every reply of `app`.

    Both paths are public: the page holds no facts of a store, it asks `/v1/…` for them. Without built
    vendor files `/` answers 503 and names the command that builds them.
    """
    shell = _shell(WEB)

    async def index(_: web.Request) -> web.Response:
        return web.Response(
            status=shell.status,
            text=shell.html,
            content_type="text/html",
            headers={"Cache-Control": REVALIDATE, "Content-Security-Policy": shell.policy},
        )

    app.router.add_get("/", index)
    app.router.add_static(STATIC, WEB)
    app.on_response_prepare.append(_add_headers)


@dataclass(frozen=True, slots=True)
class _Shell:
    """A finished HTML document with the status and policy that it is served with."""

    status: int
    html: str
    policy: str


def content_security_policy(inline_script: str = "") -> str:
    """Our own files only; `inline_script` is the one inline block (the import map), allowed by its hash."""
    scripts = "'self'"
    if inline_script:
        digest = base64.b64encode(hashlib.sha256(inline_script.encode()).digest()).decode()
        scripts += f" 'sha256-{digest}'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _shell(folder: Path) -> _Shell:
    try:
        manifest = json.loads((folder / "vendor" / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _Shell(503, _not_built(), content_security_policy())
    assets = {name: f"{STATIC}/vendor/{file}" for name, file in manifest["assets"].items()}
    modules = ("preact", "preact/hooks", "htm")
    import_map = json.dumps({"imports": {name: assets[name] for name in modules}})
    html = Template((folder / "index.html").read_text(encoding="utf-8")).substitute(
        import_map=import_map, uplot_js=assets["uplot.js"], uplot_css=assets["uplot.css"]
    )
    return _Shell(200, html, content_security_policy(import_map))


def _not_built() -> str:
    command = escape(BUILD_COMMAND)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Shelf Edge</title>'
        f'<link rel="stylesheet" href="{STATIC}/app.css">'
        '<main class="gate"><h1>The page is not built</h1>'
        "<p>This install has HQ, but not the libraries of its page. Build them, then restart the bridge:</p>"
        f"<pre><code>{command}</code></pre>"
        '<p lang="zh-CN">此安装缺少页面所需的库。请运行上面的命令，然后重启服务。</p></main></html>'
    )


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path.startswith(f"{STATIC}/"):
        is_vendor = request.path.startswith(f"{STATIC}/vendor/") and response.status < 400
        response.headers["Cache-Control"] = FOR_EVER if is_vendor else REVALIDATE
