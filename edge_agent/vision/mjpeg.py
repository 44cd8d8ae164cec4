"""Reads MJPEG over HTTP (`multipart/x-mixed-replace`), the stream that nearly every camera can give.

FFmpeg takes it for broken after the first hiccup inside a frame, and decodes every frame. This
reader waits, decodes only the frames that are asked for, and can be interrupted.
"""

from __future__ import annotations

import http.client
import os
import socket
import urllib.error
import urllib.request
from time import monotonic
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np

from edge_agent.contract.errors import CameraStalled, LinkLost
from edge_agent.vision.families import Picture
from edge_agent.vision.source import OPEN_TIMEOUT_S, shown

_LARGEST_FRAME = 32 << 20
_BROKEN = (OSError, http.client.HTTPException, ValueError)


def connect(address: str) -> MjpegStream | None:
    """Open `address`, with its user and password (basic or digest). None when it is no MJPEG.

    LinkLost when there is no answer or a refusal.
    """
    parts = urlsplit(address)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        passwords.add_password(None, plain, unquote(parts.username), unquote(parts.password or ""))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPDigestAuthHandler(passwords),
    )
    try:
        response = opener.open(plain, timeout=OPEN_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise LinkLost(
            f"{shown(address)} answers {error.code}", hint="check the camera's address, user and password"
        ) from None
    except _BROKEN:
        raise LinkLost(
            f"cannot open {shown(address)}", hint="check the address and that the camera is switched on"
        ) from None
    if response.headers.get_content_type() != "multipart/x-mixed-replace":
        response.close()
        return None
    return MjpegStream(response, shown(address))


class MjpegStream:
    """A `Source` on one HTTP response. Frames have the time of their arrival on `monotonic`."""

    def __init__(self, response: http.client.HTTPResponse, name: str) -> None:
        self._response = response
        self._name = name
        boundary = str(response.headers.get_param("boundary", ""))
        self._boundary = b"--" + boundary.removeprefix("--").encode()
        self._at_boundary = False
        self._jpeg = b""
        # A second handle on the connection: shutting it down wakes a read in another thread.
        self._connection = socket.socket(fileno=os.dup(response.fileno()))

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

        picture = cv2.imdecode(np.frombuffer(self._jpeg, np.uint8), cv2.IMREAD_COLOR)
        return None if picture is None else np.asarray(picture, np.uint8)

    def interrupt(self) -> None:
        """See `Source`."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the camera has already hung up

    def close(self) -> None:
        """See `Source`."""
        self._response.close()
        self._connection.close()

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
