"""One error tree: every error carries a code (also its translation key) and a hint."""

from __future__ import annotations

from typing import ClassVar


class ShelfEdgeError(Exception):
    """Base of everything that the outside world can cause.

    `code` is stable and documented; `hint` says what to do next; `retry` tells whether
    the same call may succeed later without a person changing anything.
    """

    code: ClassVar[str] = "E-UNKNOWN"
    retry: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class ConfigError(ShelfEdgeError):
    """A configuration file cannot be used; `problems` holds one line for each fault."""

    code = "E-CONFIG"

    def __init__(self, message: str, *, hint: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems or (message,)


class DeviceError(ShelfEdgeError):
    """A device is lost or refuses to work; the supervisor backs off and tries again."""

    code = "E-DEVICE"
    retry = True


class LinkLost(DeviceError):
    """The cable, socket or broker behind a device is gone."""

    code = "E-LINK-LOST"


class LinkDenied(DeviceError):
    """The operating system refuses the port to this user."""

    code = "E-LINK-DENIED"


class DeviceSilent(DeviceError):
    """The link is open, yet the device does not answer its protocol heartbeat."""

    code = "E-DEVICE-SILENT"


class CameraStalled(DeviceError):
    """A camera delivers no frames."""

    code = "E-CAMERA-STALLED"


class ModelError(ShelfEdgeError):
    """A model file is missing, of the wrong family, or fails its golden frame."""

    code = "E-MODEL"


class JournalError(ShelfEdgeError):
    """The journal cannot be written or read."""

    code = "E-JOURNAL"


class JournalLocked(JournalError):
    """Another process already owns this data directory."""

    code = "E-JOURNAL-LOCKED"


class NotInPlanogram(ShelfEdgeError):
    """A GTIN or a facing that this store does not have."""

    code = "E-NOT-FOUND"


class DoesNotFit(ShelfEdgeError):
    """Something told that cannot be true, or that this version does not understand."""

    code = "E-BAD-REQUEST"


class LineDiffers(ShelfEdgeError):
    """A receipt's or a delivery's line that counts already came again with another content."""

    code = "E-LINE-DIFFERS"


class SchemaTooNew(ShelfEdgeError):
    """A database was written by a newer version of this program."""

    code = "E-SCHEMA-TOO-NEW"


class SyncError(ShelfEdgeError):
    """HQ could not be told."""

    code = "E-SYNC"


class HqUnreachable(SyncError):
    """No answer from HQ, or a temporary refusal; `retry_after_s` is what HQ asked for, else 0."""

    code = "E-HQ-UNREACHABLE"
    retry = True
    retry_after_s: float = 0.0


class DatabaseAway(ShelfEdgeError):
    """The configured database server cannot be reached, or does not let us in."""

    code = "E-DATABASE-AWAY"
    retry = True


class AgentUnreachable(ShelfEdgeError):
    """No agent answers at its own address."""

    code = "E-AGENT-UNREACHABLE"
    retry = True


class HqRejected(SyncError):
    """HQ refuses the token or the message; keep buffering and tell a person."""

    code = "E-HQ-REJECTED"


class BrokerError(ShelfEdgeError):
    """The in-store MQTT broker cannot be started or reached."""

    code = "E-BROKER"
    retry = True


class AssetsMissing(ShelfEdgeError):
    """Built models or page assets are absent from this install."""

    code = "E-ASSETS-MISSING"
