"""HQ's settings (`bridge.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from edge_agent.service.settings import FilePath, is_loopback, load

ENV_PREFIX = "CLOUD_BRIDGE"
_SAFE: Final = {"sqlite": ("applied", "backup"), "postgresql": ("applied", "replica")}
_URL_KEYS: Final = frozenset({"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"})


class Settings(BaseModel):
    """Base of every settings model: unknown keys are errors, defaults are resolved like given values."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Http(Settings):
    """Where the API and the pages are served. With both TLS files, over https."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8780
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    public_url: str | None = None
    allow_insecure: bool = False

    @field_validator("public_url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError(f"public_url {url!r} must be like https://hq.example")
        return url.rstrip("/") if url else url

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; give both or neither")
        if not is_loopback(self.host) and self.cert_file is None and not self.allow_insecure:
            raise ValueError(
                f"host {self.host!r} is beyond loopback and needs TLS: give cert_file and key_file, "
                "use 127.0.0.1 behind a TLS proxy, or set allow_insecure: true"
            )
        return self

    def url(self, port: int) -> str:
        """The address to open in a browser when the server listens on `port`."""
        if self.public_url:
            return self.public_url
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - shown, not bound
        scheme = "https" if self.cert_file else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class Retention(Settings):
    """For how many days HQ keeps its feed, departed items and footfall. The ledger is kept whole."""

    events_days: Annotated[int, Field(ge=1)] = 30
    items_days: Annotated[int, Field(ge=1)] = 30
    footfall_days: Annotated[int, Field(ge=1)] = 800


class Promises(Settings):
    """How much of what stores have HQ promises to others, and for how long (docs/reference.md)."""

    safety_stock: Annotated[int, Field(ge=0)] = 0
    sure: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    stale_after_s: Annotated[int, Field(ge=15)] = 120
    stale_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    hold_ttl_s: Annotated[int, Field(ge=1, le=31_536_000)] = 900
    max_ttl_s: Annotated[int, Field(ge=1, le=31_536_000)] = 86_400
    pick_within_s: Annotated[int, Field(ge=60)] = 900

    @model_validator(mode="after")
    def _holds_fit(self) -> Self:
        if self.hold_ttl_s > self.max_ttl_s:
            raise ValueError(f"hold_ttl_s {self.hold_ttl_s} is above max_ttl_s {self.max_ttl_s}")
        return self


class BridgeSettings(Settings):
    """The whole of `bridge.yaml`."""

    http: Http = Http()
    data_dir: FilePath = Path("./var/hq")
    database: str = "sqlite"
    password_file: FilePath | None = None
    safe: str = "applied"
    retention: Retention = Retention()
    promises: Promises = Promises()

    @property
    def is_postgres(self) -> bool:
        """Whether the database is PostgreSQL, which several bridges may share."""
        return self.database != "sqlite"

    @field_validator("database")
    @classmethod
    def _known_database(cls, database: str) -> str:
        if database != "sqlite":
            _require_postgres_url(database)
        return database

    @field_validator("password_file")
    @classmethod
    def _of_a_server(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None and info.data.get("database") == "sqlite":
            raise ValueError("only for database: postgresql://user@host/name")
        return file

    @field_validator("safe")
    @classmethod
    def _known_safe(cls, safe: str, info: ValidationInfo) -> str:
        database = "sqlite" if info.data.get("database", "sqlite") == "sqlite" else "postgresql"
        if safe not in _SAFE[database]:
            raise ValueError(f"found {safe!r}, allowed with {database}: {', '.join(_SAFE[database])}")
        return safe


def _require_postgres_url(url: str) -> None:
    """ValueError says what is wrong, and never repeats a password."""
    try:
        parts = urlsplit(url)
        keys = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)).keys()
    except ValueError:
        raise ValueError("not an address: sqlite, or postgresql://user@host/name") from None
    login, _, hosts = parts.netloc.rpartition("@")
    if parts.scheme != "postgresql":
        raise ValueError(f"found {parts.scheme or url!r}, allowed: sqlite, postgresql://user@host/name")
    if ":" in login or keys & {"password", "passfile", "passwd"}:
        raise ValueError("a password does not belong here: put it alone into a file, named by password_file")
    if not login:
        raise ValueError("no user: postgresql://user@host/name")
    if not hosts and "host" not in keys:
        raise ValueError("no host: postgresql://user@host/name, or ?host=/run/postgresql for its socket")
    if len(parts.path) < 2:
        raise ValueError("no name of a database: postgresql://user@host/name")
    if unknown := keys - _URL_KEYS:
        raise ValueError(f"?{min(unknown)}= is not known, allowed: {', '.join(sorted(_URL_KEYS))}")


def read_settings(path: Path) -> BridgeSettings:
    """`path` as settings; ConfigError with one problem a line."""
    return load(path, BridgeSettings, env_prefix=ENV_PREFIX)
