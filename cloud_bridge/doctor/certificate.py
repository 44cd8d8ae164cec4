"""Until when a certificate is good: shown to ourselves in memory, with the key that goes with it."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge_agent.contract.errors import ConfigError
from edge_agent.service import tls

_ANY_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: an expired certificate can be read too."""
_TURNS: Final = 4


def not_after(cert_file: Path, key_file: Path) -> datetime:
    """The end of the first certificate in `cert_file`. ConfigError when a server cannot show it."""
    server = tls.shown(cert_file, key_file)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _ANY_TIME
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.load_verify_locations(cert_file)
        asks = client.wrap_bio(back, there)
        shows = server.wrap_bio(there, back, server_side=True)
        for _ in range(_TURNS):
            for end in (asks, shows):
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        shown = asks.getpeercert()
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{cert_file}: no client takes it: {error}", hint="give a server's certificate with its chain"
        ) from error
    ends = ssl.cert_time_to_seconds(str((shown or {})["notAfter"]))
    return datetime.fromtimestamp(ends, UTC)
