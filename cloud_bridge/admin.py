"""What an operator's command does, beside a running bridge or on its own: the same either way."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, get_args

from cloud_bridge.admission import Forks
from cloud_bridge.auth import Access
from cloud_bridge.errors import BadRequest
from cloud_bridge.liveness import Liveness
from cloud_bridge.names import Role, is_name
from cloud_bridge.store import Engine
from edge_agent.contract.times import utc_now

_STORE_PAGE: Final = 1000

Answer = dict[str, Any]


class Admin:
    """Commands by name; each takes keyword strings and answers facts that print as JSON."""

    def __init__(
        self,
        engine: Engine,
        access: Access,
        liveness: Liveness,
        forks: Forks,
        *,
        url: Callable[[], str],
        port: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._access = access
        self._liveness = liveness
        self._forks = forks
        self._url = url
        self._port = port
        self._began_s = time.monotonic()
        self._commands: dict[str, Callable[..., Awaitable[Answer]]] = {
            "status": self.status,
            "store add": self.store_add,
            "store list": self.store_list,
            "store revoke": self.store_revoke,
            "token add": self.token_add,
            "token list": self.token_list,
            "token revoke": self.token_revoke,
            "user add": self.user_add,
            "user list": self.user_list,
            "user revoke": self.user_revoke,
            "backup record": self.backup_record,
        }

    async def run(self, command: str, arguments: dict[str, str]) -> Answer:
        """One command; BadRequest when there is no such command or a name does not fit."""
        work = self._commands.get(command)
        if work is None:
            raise BadRequest(f"there is no command {command!r}", hint="use the same version of cloud-bridge")
        if not is_name(arguments.get("name", "x")):
            hint = "up to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit"
            raise BadRequest(f"{arguments['name']!r} cannot be a name", hint=hint)
        if arguments.get("role", "viewer") not in get_args(Role):
            raise BadRequest(f"role {arguments['role']!r} is not known", hint="viewer, ops or admin")
        return await work(**arguments)

    async def status(self) -> Answer:
        """How the running bridge is; `cloud-bridge doctor` asks."""
        return {
            "version": version("shelf-edge"),
            "uptime_s": round(time.monotonic() - self._began_s, 1),
            "url": self._url(),
            "port": self._port(),
            "is_writable": self._engine.is_writable,
            "made_to_wait": self._forks.made_to_wait(),
        }

    async def store_add(self, name: str) -> Answer:
        """A store with its token, shown this once."""
        return {"store": name, "token": await self._access.add_token("store", name, None)}

    async def store_list(self) -> Answer:
        """Stores, how they are, and whether their token is live."""
        live = {
            c.name for c in await self._engine.credentials() if c.kind == "store" and c.revoked_at is None
        }
        now, after, stores = utc_now(), "", []
        while page := await self._engine.store_page(after, _STORE_PAGE):
            stores += [
                {
                    "store": record.store,
                    "name": record.name,
                    "status": self._liveness.status(record, now),
                    "last_seen_at": self._liveness.last_seen_at(record),
                    "pending": self._liveness.pending(record),
                    "clock_offset_ms": self._liveness.clock_offset_ms(record),
                    "differences": record.differences,
                    "differed_at": record.differed_at,
                    "revoked": record.store not in live,
                }
                for record, _ in page
            ]
            after = page[-1][0].store
        return {"items": stores}

    async def store_revoke(self, name: str) -> Answer:
        """End a store's token; what it told stays."""
        await self._access.revoke_token("store", name)
        return {"store": name, "revoked": True}

    async def token_add(self, name: str, role: Role) -> Answer:
        """A token for a system, shown this once."""
        return {"name": name, "token": await self._access.add_token("api", name, role)}

    async def token_list(self) -> Answer:
        """Tokens of systems, revoked ones too."""
        tokens = [c for c in await self._engine.credentials() if c.kind == "api"]
        return {
            "items": [
                {"name": c.name, "role": c.role, "added_at": c.added_at, "revoked_at": c.revoked_at}
                for c in tokens
            ]
        }

    async def token_revoke(self, name: str) -> Answer:
        """End a token at once."""
        await self._access.revoke_token("api", name)
        return {"name": name, "revoked": True}

    async def user_add(self, name: str, role: Role) -> Answer:
        """A person who may log in, with a one-time link."""
        code, expires_at = await self._access.invite(name, role)
        return {
            "name": name,
            "role": role,
            "url": f"{self._url()}/login?code={code}",
            "expires_at": expires_at,
        }

    async def user_list(self) -> Answer:
        """People who may log in."""
        people = await self._engine.people()
        return {"items": [{"name": p.name, "role": p.role, "added_at": p.added_at} for p in people]}

    async def user_revoke(self, name: str) -> Answer:
        """Log a person out everywhere and forget them."""
        await self._access.remove_person(name)
        return {"name": name, "revoked": True}

    async def backup_record(self, path: str, at: str) -> Answer:
        """What the verified copy at `path` holds is safe from now on."""
        return asdict(await self._engine.record_backup(Path(path), at=at))
