"""TLS on both ends: whom a client of ours trusts, and what a server of ours shows."""

from __future__ import annotations

import ssl
from pathlib import Path

from edge_agent.contract.errors import ConfigError


def trusted(ca_file: Path | None) -> ssl.SSLContext | None:
    """Trust in the uplink's own authority; None for the system's."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"uplink.ca_file {ca_file}: cannot be used: {error.strerror}", hint="give a PEM file"
        ) from error


def shown(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """A server's certificate, with its chain, and the key of it. ConfigError when they cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(
            f"{cert_file} with {key_file}: cannot be used: {why}",
            hint="give the certificate with its chain, and its key without a password, as PEM files",
        ) from error
    return context


def _no_password() -> str:
    """A service cannot be asked for one; without this OpenSSL would wait for a terminal."""
    return ""
