"""Reads MJPEG over HTTP (`multipart/x-mixed-replace`), the stream that nearly every camera can give.

FFmpeg takes it for broken after the first hiccup inside a frame, and decodes every frame. This
reader waits, decodes only the frames that are asked for, and can be interrupted.
"""

from __future__ import annotations

import http.client
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from urllib.parse import SplitResult, urlsplit

import numpy as np

from edge_agent.contract.errors import CameraStalled, LinkLost
from edge_agent.vision.families import Picture
from edge_agent.vision.login import Login, digest_challenge, target
from edge_agent.vision.source import OPEN_TIMEOUT_S, shown

_LARGEST_FRAME = 32 << 20
_END_OF_IMAGE = b"\xff\xd9"
_BROKEN = (OSError, http.client.HTTPException, ValueError)


def connect(address: str) -> MjpegStream | None:
    """Open `address`, with its user and password (basic or digest). None when it is no MJPEG.

    LinkLost when there is no answer or a refusal.
    """
    try:
        answer = _get(urlsplit(address))
    except _BROKEN:
        raise LinkLost(
            f"cannot open {shown(address)}", hint="check the address and that the camera is switched on"
        ) from None
    status, content = answer.response.status, answer.response.headers.get_content_type()
    if status != http.HTTPStatus.OK:
        answer.close()
        raise LinkLost(
            f"{shown(address)} answers {status}",
            hint="check the camera's address, user and password",
        )
    if content != "multipart/x-mixed-replace":
        answer.close()
        return None
    return MjpegStream(answer, shown(address))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response, and the connection, which may or may not have handed its socket over to it."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def _get(parts: SplitResult) -> _Answer:
    """The answer to a GET; a camera that asks for digest instead of basic is asked a second time."""
    login = Login.of(parts)
    answer = _ask(parts, login.basic())
    challenge = digest_challenge(answer.response.headers.get_all("WWW-Authenticate", []))
    if answer.response.status != http.HTTPStatus.UNAUTHORIZED or challenge is None:
        return answer
    answer.close()
    return _ask(parts, login.digest(challenge, method="GET", uri=target(parts), address=parts))


def _ask(parts: SplitResult, authorization: str | None) -> _Answer:
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=OPEN_TIMEOUT_S)
    headers = {"Connection": "close"} | ({"Authorization": authorization} if authorization else {})
    try:
        connection.request("GET", target(parts), headers=headers)
        return _Answer(connection, connection.getresponse())
    except BaseException:
        connection.close()
        raise


class MjpegStream:
    """A `Source` on one HTTP response. Frames have the time of their arrival on `monotonic`."""

    def __init__(self, answer: _Answer, name: str) -> None:
        self._answer = answer
        self._response = response = answer.response
        self._name = name
        boundary = str(response.headers.get_param("boundary", ""))
        self._boundary = b"--" + boundary.removeprefix("--").encode()
        self._at_boundary = False
        self._jpeg = b""
        # A second handle on the connection: shutting it down wakes a read in another thread.
        self._handle = socket.socket(fileno=os.dup(response.fileno()))

    def grab(self) -> float | None:
        """See `Source`. Silence for OPEN_TIMEOUT_S is CameraStalled."""
        try:
            self._jpeg = self._part()
        except TimeoutError:
            raise CameraStalled(f"no frame from {self._name} for {OPEN_TIMEOUT_S:.0f} s") from None
        except _BROKEN:
            raise LinkLost(f"the stream of {self._name} broke off") from None
        return monotonic()

    def picture(self) -> Picture | None:
        """See `Source`."""
        import cv2

        # Of a frame that was cut short the decoder would make a picture that is grey below.
        if self._jpeg.rfind(_END_OF_IMAGE, len(self._jpeg) // 2) < 0:
            return None
        picture = cv2.imdecode(np.frombuffer(self._jpeg, np.uint8), cv2.IMREAD_COLOR)
        return None if picture is None else np.asarray(picture, np.uint8)

    def interrupt(self) -> None:
        """See `Source`."""
        with suppress(OSError):  # the camera may have hung up already
            self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `Source`."""
        self._answer.close()
        self._handle.close()

    def _part(self) -> bytes:
        """The body of the next part; its length is stated, or it ends at the next boundary."""
        while not self._at_boundary:
            self._at_boundary = self._line().startswith(self._boundary)
        self._at_boundary = False
        length = None
        while line := self._line().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length is None:
            return self._until_boundary()
        if not 0 < length <= _LARGEST_FRAME:
            raise ValueError(length)
        body = self._response.read(length)
        if len(body) < length:
            raise ConnectionResetError
        return body

    def _until_boundary(self) -> bytes:
        lines: list[bytes] = []
        size = 0
        while not (line := self._line()).startswith(self._boundary):
            lines.append(line)
            size += len(line)
            if size > _LARGEST_FRAME:
                raise ValueError(size)
        self._at_boundary = True
        return b"".join(lines)

    def _line(self) -> bytes:
        line = self._response.readline(65536)
        if not line:
            raise ConnectionResetError
        return line
