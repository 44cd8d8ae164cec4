"""Who may use the camera page: whoever reaches it on loopback, or who knows its token."""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from edge_agent.config.camera_page import CameraPage
from edge_agent.contract.errors import ConfigError
from edge_agent.service.problem import problem
from edge_agent.service.settings import is_loopback

COOKIE: Final = "shelf_edge_cameras"
SESSION_S: Final = 8 * 3600.0
SHORTEST_TOKEN: Final = 16
_SESSIONS: Final = 64
"""So many browsers at once; the one that logged in first must do so again."""
WRONG_TOKENS, WRONG_WINDOW_S = 5, 60.0
"""After so many wrong tokens from one address within the window, none is looked at."""
_ADDRESSES: Final = 1000


@dataclass(frozen=True, slots=True)
class Session:
    """One browser. `name` is for the log and tells nothing of the cookie."""

    name: str
    ends_s: float


_LOCAL: Final = Session("without a token", float("inf"))


class Access:
    """Sessions of one page, in memory: a restart logs everybody out.

    ConfigError when the token could be guessed.
    """

    def __init__(self, page: CameraPage, token: str | None, clock_s: Callable[[], float] = monotonic) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise ConfigError(
                f"{page.token_file}: the token of the camera page has less than {SHORTEST_TOKEN} characters",
                hint="openssl rand -hex 24 > the file",
            )
        self._page, self._token, self._clock_s = page, token, clock_s
        self._sessions: dict[str, Session] = {}
        self._wrong: dict[str, deque[float]] = {}

    @property
    def needs_token(self) -> bool:
        """Whether one must log in."""
        return self._token is not None

    def refusal(self, request: web.Request) -> web.Response | None:
        """Why the request is not answered at all: it came by a strange name, or from another site's page.

        A name of somebody else's that leads here (DNS rebinding) would make his page and ours the same
        site; so on loopback only this machine's own names are answered. Whatever changes or opens
        something must come from a page of ours.
        """
        host = request.headers.get("Host", "")
        if is_loopback(self._page.host) and not is_loopback(_hostname(host)):
            return problem(
                421, "this page answers to localhost only", code="E-FORBIDDEN", hint="use http://127.0.0.1"
            )
        if request.method in ("GET", "HEAD") and "Upgrade" not in request.headers:
            return None
        scheme = "https" if self._page.is_https else "http"
        if request.headers.get("Origin") != f"{scheme}://{host}":
            return problem(403, "the request comes from another page than ours", code="E-FORBIDDEN")
        return None

    def session(self, request: web.Request) -> Session | None:
        """Whose request it is; None for a stranger."""
        if self._token is None:
            return _LOCAL
        session = self._sessions.get(request.cookies.get(COOKIE, ""))
        return session if session is not None and self.lasts(session) else None

    def lasts(self, session: Session) -> bool:
        """Whether the session has neither ended by time nor by its owner."""
        is_known = session is _LOCAL or session in self._sessions.values()
        return is_known and self._clock_s() < session.ends_s

    def log_in(self, given: str, address: str) -> tuple[str, Session] | None:
        """The cookie of a new session; None when the token is wrong, or looked at no more for a while."""
        wrong = self._wrong_of(address)
        if self._token is None or len(wrong) >= WRONG_TOKENS:
            return None
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token.encode()):
            wrong.append(self._clock_s())
            return None
        while len(self._sessions) >= _SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        cookie, session = (
            secrets.token_urlsafe(32),
            Session(secrets.token_hex(3), self._clock_s() + SESSION_S),
        )
        self._sessions[cookie] = session
        return cookie, session

    def log_out(self, request: web.Request) -> None:
        """End the session of that browser; its open views end too."""
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)

    def is_held_off(self, address: str) -> bool:
        """Whether this address gave too many wrong tokens of late."""
        return len(self._wrong_of(address)) >= WRONG_TOKENS

    def _wrong_of(self, address: str) -> deque[float]:
        wrong = self._wrong.setdefault(address, deque())
        while wrong and self._clock_s() - wrong[0] > WRONG_WINDOW_S:
            wrong.popleft()
        while len(self._wrong) > _ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        return wrong


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
