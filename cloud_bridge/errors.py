"""What HQ refuses and why: one class for each thing that a caller or an operator can run into."""

from __future__ import annotations

from edge_agent.contract.errors import ConfigError, JournalLocked, ShelfEdgeError
from edge_agent.contract.messages import SyncConflict


class Conflict(ShelfEdgeError):
    """A sync call does not fit the history that HQ holds; the agent says hello again."""

    code = "E-SYNC-CONFLICT"
    retry = True

    def __init__(self, reason: SyncConflict, message: str) -> None:
        super().__init__(message, hint="say hello again")
        self.reason: SyncConflict = reason


class Unavailable(ShelfEdgeError):
    """HQ could not do it now, or does not know whether it did (an error from COMMIT)."""

    code = "E-HQ-BUSY"
    retry = True


class TooOften(ShelfEdgeError):
    """A caller that asks for something expensive again and again; it may after `retry_after_s`."""

    code = "E-TOO-OFTEN"
    retry = True

    def __init__(self, message: str, *, hint: str, retry_after_s: float) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class BadRequest(ShelfEdgeError):
    """A request that can never succeed as it is."""

    code = "E-BAD-REQUEST"


class Unauthorized(ShelfEdgeError):
    """No credential, or one that is not known or no longer valid."""

    code = "E-UNAUTHORIZED"


class Forbidden(ShelfEdgeError):
    """A credential that is valid, for something else."""

    code = "E-FORBIDDEN"


class TooLarge(ShelfEdgeError):
    """A body above the limit, compressed or not."""

    code = "E-TOO-LARGE"


class NotKnown(ShelfEdgeError):
    """A store, facing or name that HQ does not have."""

    code = "E-NOT-FOUND"


class AlreadyThere(ShelfEdgeError):
    """A name that is in use."""

    code = "E-EXISTS"


class PreconditionRequired(ShelfEdgeError):
    """A write that says not what it replaces."""

    code = "E-REVISION-MISSING"


class PreconditionFailed(ShelfEdgeError):
    """Somebody else has published meanwhile."""

    code = "E-REVISION-OLD"


class KeyReused(ShelfEdgeError):
    """An Idempotency-Key that was sent before, with another body."""

    code = "E-KEY-REUSED"


class NotAvailable(ShelfEdgeError):
    """What is wanted cannot be promised there; `alternatives` are stores that can, with how many."""

    code = "E-NOT-AVAILABLE"

    def __init__(self, message: str, *, hint: str, alternatives: list[tuple[str, int]]) -> None:
        super().__init__(message, hint=hint)
        self.alternatives = alternatives


class ReservationOver(ShelfEdgeError):
    """A reservation that has ended another way than is asked for."""

    code = "E-RESERVATION-OVER"


class DataDirUnusable(ConfigError):
    """The data directory or the database in it cannot be opened."""

    code = "E-DATA-DIR"


class DataDirBusy(JournalLocked):
    """Another process owns the data directory."""

    code = "E-DATA-DIR-BUSY"


class BackupRefused(ConfigError):
    """The place for a backup, or the file to restore, is not one that can be used."""

    code = "E-BACKUP"


class BackupUnsound(ShelfEdgeError):
    """A copy that does not hold what it should: damaged, or at odds with its own ledger."""

    code = "E-BACKUP-UNSOUND"


class AddressTaken(ConfigError):
    """The configured address cannot be listened on."""

    code = "E-ADDRESS"
