"""Why an RTSP camera cannot be opened: FFmpeg says no more than that it cannot, so it is asked itself."""

from __future__ import annotations

import socket
import ssl
from email.message import Message
from email.parser import BytesHeaderParser
from time import monotonic
from urllib.parse import SplitResult, urlsplit

from edge_agent.contract.errors import LinkLost
from edge_agent.vision.login import Login, digest_challenge, target
from edge_agent.vision.source import shown

_PORTS = {"rtsp": 554, "rtsps": 322}
_ANSWER_WITHIN_S = 2.0
_LARGEST_ANSWER = 65536

Answer = tuple[int, Message]
"""Status and headers (RFC 2326, 7)."""


def refusal(address: str) -> LinkLost:
    """The error for a camera that could not be opened. Asks it for its description, as a player does."""
    name, parts = shown(address), urlsplit(address)
    login = Login.of(parts)
    try:
        status = _describe(parts, login)
    except (OSError, ValueError):
        return LinkLost(
            f"cannot open {name}: no camera answers there",
            hint="check the address, the cable, and that the camera is switched on and serves RTSP",
        )
    match status:
        case 200:
            problem, hint = "its stream cannot be read", "choose H.264 or H.265 in the camera"
        case 401 | 403 if login.user:
            problem, hint = "it refuses the user or the password", "check both in the camera's address"
        case 401 | 403:
            problem, hint = "it asks for a user and a password", "write rtsp://user:password@…"
        case 404 | 454:
            problem, hint = "it has no such stream", "check the path; the camera's manual or page names it"
        case _:
            problem, hint = f"it answers {status}", "look into the camera's own log; it may serve too many"
    return LinkLost(f"cannot open {name}: {problem}", hint=hint)


def _describe(parts: SplitResult, login: Login) -> int:
    """The status of DESCRIBE, asked again with the login where the camera wants it. OSError, ValueError."""
    with _connected(parts) as link:
        status, headers = _ask(link, parts, number=1, authorization=None)
        challenges = headers.get_all("WWW-Authenticate", [])
        if status != 401 or not login.user or not challenges:
            return status
        digest = digest_challenge(challenges)
        authorization = login.basic()
        if digest is not None:
            authorization = login.digest(digest, method="DESCRIBE", uri=_uri(parts), address=parts)
        return _ask(link, parts, number=2, authorization=authorization)[0]


def _connected(parts: SplitResult) -> socket.socket:
    place = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    link = socket.create_connection(place, _ANSWER_WITHIN_S)
    if parts.scheme == "rtsp":
        return link
    context = ssl._create_unverified_context()  # noqa: S323 - as FFmpeg: cameras sign for themselves
    return context.wrap_socket(link, server_hostname=parts.hostname)


def _uri(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{target(parts)}"


def _ask(link: socket.socket, parts: SplitResult, *, number: int, authorization: str | None) -> Answer:
    lines = [f"DESCRIBE {_uri(parts)} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp"]
    lines += [f"Authorization: {authorization}"] if authorization else []
    link.sendall("\r\n".join([*lines, "", ""]).encode())
    said, until_s = b"", monotonic() + _ANSWER_WITHIN_S
    while b"\r\n\r\n" not in said and len(said) < _LARGEST_ANSWER:
        if monotonic() > until_s:
            raise TimeoutError
        heard = link.recv(4096)
        if not heard:
            raise ConnectionResetError
        said += heard
    first, _, rest = said.partition(b"\r\n")
    protocol, status, *_ = first.split()
    if not protocol.startswith(b"RTSP/"):
        raise ValueError(first)
    return int(status), BytesHeaderParser().parsebytes(rest)
