"""Listening for HTTP, where an address that is taken is an error of the configuration."""

from __future__ import annotations

import ssl

from aiohttp import web

from edge_agent.contract.errors import ConfigError


async def listen(
    runner: web.AppRunner, host: str, port: int, *, setting: str, tls: ssl.SSLContext | None = None
) -> None:
    """Listen until the runner's cleanup. ConfigError, after that cleanup, naming the `setting` to change."""
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"{setting}: cannot listen on {host}:{port}: {error.strerror}",
            hint=f"another program has the port; set {setting}.port",
        ) from error
