"""What `store.yaml` says of the page on which cameras are seen and their lines are drawn."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from edge_agent.service.settings import FilePath, Settings, is_loopback


class CameraPage(Settings):
    """Off unless asked for. It shows people, so beyond loopback there is no way around TLS and a token."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8788
    token_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @property
    def is_https(self) -> bool:
        """Whether browsers reach it by https."""
        return self.cert_file is not None

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; give both or neither")
        if not is_loopback(self.host) and (self.cert_file is None or self.token_file is None):
            raise ValueError(
                f"host {self.host!r} is beyond loopback and shows people: it needs cert_file, key_file and "
                "token_file; or use 127.0.0.1, and reach it with ssh -L"
            )
        return self
