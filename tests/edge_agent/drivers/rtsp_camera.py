"""An RTSP camera for the tests: GStreamer's server, run by the system's Python, told what to do on stdin.

`rtsp_camera.py PORT [USER:PASSWORD] [PICTURES]` serves H.264 at /live. Without PICTURES (like
`/folder/%03d.jpg`, once, ten a second) it films its own clock: 32 stripes, which are the bits of
CLOCK_MONOTONIC in ms, white over black, the highest first. Commands, one a line:
`size WIDTH HEIGHT`, `mute on|off`, `damage SHARE` (of the encoded bytes).
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - the versions have to be chosen first

WIDTH, HEIGHT, PER_S = 640, 360, 25
ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=1500 threads=1"
PAYLOAD = "breakmydata name=wire probability=0 ! rtph264pay name=pay0 pt=96 config-interval=-1"
CLOCK = (
    f"appsrc name=clock is-live=true format=time do-timestamp=true max-buffers=2 leaky-type=downstream "
    f"caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={PER_S}/1 "
    f"! videoscale ! videoconvert ! capsfilter name=size caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT} "
)
FILM = "multifilesrc location={} index=1 caps=image/jpeg,framerate=10/1 ! jpegdec ! videoconvert "


class Camera:
    """What the camera does at present."""

    def __init__(self) -> None:
        self.mute = False
        self.wires: list[Any] = []
        self.sizes: list[Any] = []
        self.clocks: list[Any] = []

    def told(self, line: str) -> None:
        name, *values = line.split()
        if name == "size":
            width, height = values
            caps = Gst.Caps.from_string(f"video/x-raw,format=I420,width={width},height={height}")
            for size in self.sizes:
                size.set_property("caps", caps)
        elif name == "damage":
            for wire in self.wires:
                wire.set_property("probability", float(values[0]))
        elif name == "mute":
            self.mute = values[0] == "on"

    def film(self) -> None:
        """Shows the clock to all who look, for ever."""
        while True:
            time.sleep(1 / PER_S - time.monotonic() % (1 / PER_S))
            if self.mute:
                continue
            now = int(time.monotonic() * 1000)
            row = b"".join(bytes([235 * (now >> bit & 1)]) * (WIDTH // 32) for bit in range(31, -1, -1))
            for clock in self.clocks:
                clock.emit("push-buffer", Gst.Buffer.new_wrapped(row * HEIGHT))

    def configured(self, _factory: Any, media: Any) -> None:
        """A client has come: its own pipeline is made."""
        pipeline = media.get_element()
        if clock := pipeline.get_by_name_recurse_up("clock"):
            self.clocks.append(clock)
            self.sizes.append(pipeline.get_by_name_recurse_up("size"))
            media.connect("unprepared", lambda _media: self.clocks.remove(clock))
        self.wires.append(pipeline.get_by_name_recurse_up("wire"))


def main(port: str, login: str = "", pictures: str = "") -> None:
    Gst.init(None)
    camera = Camera()
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + (FILM.format(pictures) if pictures else CLOCK) + f"! {ENCODER} ! {PAYLOAD} )")
    factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)  # TCP only, as a firewall may have it
    factory.connect("media-configure", camera.configured)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    if login:
        user, _, password = login.partition(":")
        access, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        access.set_supported_methods(2)  # digest, as cameras do
        access.add_digest(user, password, token)
        server.set_auth(access)
        rights = ",".join(f"media.factory.{right}=(boolean)true" for right in ("access", "construct"))
        factory.add_role_from_structure(Gst.Structure.new_from_string(f"viewer,{rights}"))
    server.get_mount_points().add_factory("/live", factory)
    if server.attach(None) == 0:
        sys.exit(f"port {port} is taken")
    threading.Thread(target=camera.film, daemon=True).start()
    threading.Thread(target=lambda: [camera.told(line) for line in sys.stdin], daemon=True).start()
    print("ready", flush=True)
    GLib.MainLoop().run()


main(*sys.argv[1:])
