"""Who is calling: stores and systems by token, people by the cookie of a one-time link."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final, Literal

from aiohttp import web

from cloud_bridge.errors import Forbidden, Unauthorized
from cloud_bridge.names import Role
from cloud_bridge.store import Engine
from cloud_bridge.store.records import Credential, LoginSession, Person
from edge_agent.contract.times import rfc3339, utc_now

COOKIE: Final = "bridge_session"
CSRF_HEADER: Final = "X-CSRF-Token"
LINK_LIFE: Final = timedelta(minutes=15)
SESSION_LIFE: Final = timedelta(days=7)
_RANK: Final[dict[Role, int]] = {"viewer": 1, "ops": 2, "admin": 3}
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True, eq=False)
class Caller:
    """An authenticated party. `is_revoked` turns true at once, also for streams that are open."""

    kind: Literal["store", "api", "person"]
    name: str
    role: Role | None
    hash: bytes
    csrf: str | None = None
    expires_at: str | None = None
    is_revoked: bool = False

    def is_over(self) -> bool:
        """Whether this caller may do nothing any more: revoked, or logged in too long ago."""
        return self.is_revoked or (self.expires_at is not None and self.expires_at <= rfc3339(utc_now()))

    def may(self, role: Role) -> bool:
        """Whether this caller has `role` or a stronger one; a store never has."""
        return self.role is not None and _RANK[self.role] >= _RANK[role]


class Access:
    """All live credentials in memory, by hash, so that a request costs no query and a revocation no wait."""

    def __init__(self, engine: Engine, on_revoked: Callable[[], None]) -> None:
        self._engine = engine
        self._on_revoked = on_revoked
        self._callers: dict[bytes, Caller] = {}
        self._reading = asyncio.Lock()  # an older answer must not replace a newer one

    async def reload(self) -> None:
        """Take in what the database says; who is gone there is revoked here."""
        async with self._reading:
            tokens = await self._engine.credentials()
            fresh = {token.hash: _of_credential(token) for token in tokens if token.revoked_at is None}
            sessions = await self._engine.login_sessions(rfc3339(utc_now()))
            fresh |= {session.hash: _of_session(session) for session in sessions}
            for known, caller in self._callers.items():
                renewed = fresh.get(known)
                if renewed is None or renewed.role != caller.role:
                    caller.is_revoked = True
                else:
                    fresh[known] = caller
            self._callers = fresh
            self._on_revoked()

    # --- asking ---

    def store(self, request: web.Request) -> str:
        """The store whose token the request carries."""
        caller = self._bearer(request)
        if caller is None:
            raise Unauthorized("a store token is needed", hint="cloud-bridge store add ID")
        if caller.kind != "store":
            raise Forbidden("this is not a store token", hint="cloud-bridge store add ID prints one")
        return caller.name

    def require(self, request: web.Request, role: Role) -> Caller:
        """The caller, who has at least `role`; a cookie needs its CSRF token on writes."""
        caller = self.caller(request)
        if caller is None:
            raise Unauthorized(
                "a token or a login is needed", hint="cloud-bridge token add NAME --role viewer"
            )
        if not caller.may(role):
            raise Forbidden(f"this needs the role {role}")
        if caller.csrf is not None and request.method not in _SAFE_METHODS:
            given = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), caller.csrf.encode()):
                raise Forbidden(f"the header {CSRF_HEADER} is missing or wrong", hint="GET /v1/me tells it")
        return caller

    def caller(self, request: web.Request) -> Caller | None:
        """Who sends this request, by token or else by cookie."""
        if "Authorization" in request.headers:
            return self._bearer(request)
        cookie = request.cookies.get(COOKIE)
        caller = self._find(cookie) if cookie else None
        return caller if caller is not None and caller.kind == "person" else None

    def _bearer(self, request: web.Request) -> Caller | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        caller = self._find(token.strip()) if scheme.lower() == "bearer" else None
        return caller if caller is not None and caller.kind != "person" else None

    def _find(self, secret: str) -> Caller | None:
        """Looked up by hash: the time it takes tells nothing about a secret."""
        digest = hash_secret(secret)
        caller = self._callers.get(digest)
        if caller is None or not hmac.compare_digest(caller.hash, digest):
            return None
        return None if caller.is_over() else caller

    # --- giving and taking ---

    async def add_token(self, kind: Literal["store", "api"], name: str, role: Role | None) -> str:
        """A new token, shown this once; only its hash is kept."""
        token = f"{kind}_{secrets.token_urlsafe(32)}"
        await self._engine.add_credential(
            Credential(hash_secret(token), kind, name, role, rfc3339(utc_now()), None)
        )
        await self.reload()
        return token

    async def revoke_token(self, kind: Literal["store", "api"], name: str) -> None:
        """End a token at once."""
        await self._engine.revoke_credential(kind, name, rfc3339(utc_now()))
        await self.reload()

    async def invite(self, name: str, role: Role) -> tuple[str, str]:
        """A one-time login code for a person and when it expires."""
        now = utc_now()
        code, expires_at = secrets.token_urlsafe(32), rfc3339(now + LINK_LIFE)
        await self._engine.add_person(Person(name, role, rfc3339(now)))
        await self._engine.add_login_link(hash_secret(code), name, expires_at)
        await self.reload()
        return code, expires_at

    async def remove_person(self, name: str) -> None:
        """Log a person out everywhere, for good."""
        await self._engine.remove_person(name)
        await self.reload()

    async def log_in(self, code: str) -> str:
        """Use a one-time code up; the cookie's value. NotKnown when it is used or too old."""
        cookie, now = secrets.token_urlsafe(32), utc_now()
        session = LoginSession(
            hash_secret(cookie), "", "viewer", secrets.token_urlsafe(32), rfc3339(now + SESSION_LIFE)
        )
        await self._engine.redeem_login_link(hash_secret(code), session, rfc3339(now))
        await self.reload()
        return cookie

    async def log_out(self, caller: Caller) -> None:
        """End one browser's session."""
        await self._engine.end_login_session(caller.hash)
        await self.reload()


def hash_secret(secret: str) -> bytes:
    """SHA-256 is enough for 256 random bits: there is nothing to guess."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _of_credential(credential: Credential) -> Caller:
    return Caller(credential.kind, credential.name, credential.role, credential.hash)


def _of_session(session: LoginSession) -> Caller:
    return Caller(
        "person", session.person, session.role, session.hash, csrf=session.csrf, expires_at=session.expires_at
    )
