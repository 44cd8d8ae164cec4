"""User and password of a camera's address, and the answer to its digest challenge (RFC 7616, RFC 2326)."""

from __future__ import annotations

import base64
import re
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks; `user` is empty where the address names none."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, address: SplitResult) -> Login:
        """What stands before the @."""
        return cls(unquote(address.username or ""), unquote(address.password or ""))

    def basic(self) -> str | None:
        """The header's value for basic authentication; None without a user."""
        if not self.user:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def digest(self, challenge: str, *, method: str, uri: str, address: SplitResult) -> str:
        """The header's value that answers a `digest_challenge`. ValueError when that makes no sense."""
        plain = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path or '/'}"
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, plain, self.user, self.password)
        asked = challenge[challenge.lower().index("digest ") + len("digest ") :]
        try:
            fields = urllib.request.parse_keqv_list(urllib.request.parse_http_list(asked))
        except IndexError:
            raise ValueError("a value of the challenge is empty") from None
        request = urllib.request.Request(plain, method=method)  # noqa: S310 - never opened
        request.selector = uri
        answer = urllib.request.HTTPDigestAuthHandler(passwords).get_authorization(request, fields)
        return f"Digest {answer}"


def digest_challenge(challenges: Sequence[str]) -> str | None:
    """The first of the challenges that asks for a digest that we can give: MD5 or SHA."""
    digests = (c for c in challenges if "digest " in c.lower())
    return next((c for c in digests if not re.search(r"sha-?(256|512)", c, re.IGNORECASE)), None)


def target(address: SplitResult) -> str:
    """Path and query, as they are asked for."""
    return (address.path or "/") + (f"?{address.query}" if address.query else "")
