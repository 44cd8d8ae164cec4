"""A real MJPEG camera on loopback, whose behaviour a test decides."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

Write = Callable[[bytes], object]
Film = Callable[[Write, threading.Event], None]
"""Writes the parts of one connection; the event is set when the test is over."""


def part(picture: npt.NDArray[Any], *, with_length: bool = True) -> bytes:
    """One part of a multipart stream: the picture as JPEG."""
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    length = f"Content-Length: {len(jpeg)}\r\n" if with_length else ""
    return f"--edge\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + jpeg + b"\r\n"


def grey(shade: int = 128, *, size: tuple[int, int] = (240, 320)) -> npt.NDArray[np.uint8]:
    """A plain picture."""
    return np.full((*size, 3), shade, np.uint8)


class MjpegCamera:
    """`serving(film)` gives the address of a camera that shows `film` to each that connects."""

    part = staticmethod(part)
    grey = staticmethod(grey)

    @contextmanager
    def serving(self, film: Film, *, password: str | None = None, chunked: bool = False) -> Iterator[str]:
        over = threading.Event()
        wanted = "Basic " + base64.b64encode(f"viewer:{password}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if password is not None and self.headers["Authorization"] != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=edge")
                if chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    film(self._write, over)
                except ConnectionError:
                    return

            def _write(self, content: bytes) -> None:
                if chunked:
                    content = f"{len(content):x}\r\n".encode() + content + b"\r\n"
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        user = "" if password is None else f"viewer:{password}@"
        try:
            yield f"http://{user}127.0.0.1:{server.server_port}/video?token=hidden"
        finally:
            over.set()
            server.shutdown()
            server.server_close()
            serving.join()


@pytest.fixture
def mjpeg() -> MjpegCamera:
    return MjpegCamera()
