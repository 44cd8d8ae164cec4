"""Whom a client of ours trusts: the system's authorities, or one file's."""

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
