"""Credentials, people and their logins in PostgreSQL: hashes only, and every process hears of a change."""

from __future__ import annotations

from cloud_bridge.errors import AlreadyThere, NotKnown
from cloud_bridge.store.postgres.database import Connection, Transaction
from cloud_bridge.store.postgres.news import note
from cloud_bridge.store.records import Credential, LoginSession, Person


async def credentials(connection: Connection) -> list[Credential]:
    """All tokens, revoked ones too."""
    rows = await connection.fetch(
        "select hash, kind, name, role, added_at, revoked_at from credential order by kind, name, added_at"
    )
    return [Credential(*row) for row in rows]


async def people(connection: Connection) -> list[Person]:
    """Everyone who may log in."""
    rows = await connection.fetch("select name, role, added_at from person order by name")
    return [Person(*row) for row in rows]


async def add_credential(tx: Transaction, credential: Credential) -> None:
    """Keep a new token; a store's first one adds the store. AlreadyThere: the name has a live token."""
    await note(tx.connection, "access")
    live = await tx.connection.fetchval(
        "select 1 from credential where kind = $1 and name = $2 and revoked_at is null",
        credential.kind,
        credential.name,
    )
    if live is not None:
        what = "store" if credential.kind == "store" else "token"
        raise AlreadyThere(
            f"{what} {credential.name!r} already has a token",
            hint=f"cloud-bridge {what} revoke {credential.name}",
        )
    await tx.connection.execute(
        "insert into credential (hash, kind, name, role, added_at) values ($1, $2, $3, $4, $5)",
        credential.hash,
        credential.kind,
        credential.name,
        credential.role,
        credential.added_at,
    )
    if credential.kind == "store":
        await tx.connection.execute(
            "insert into store (store, added_at) values ($1, $2) on conflict do nothing",
            credential.name,
            credential.added_at,
        )


async def revoke_credential(tx: Transaction, kind: str, name: str, at: str) -> None:
    """End a name's live token; NotKnown when it has none."""
    await note(tx.connection, "access")
    found = await tx.connection.fetchval(
        "update credential set revoked_at = $1 where kind = $2 and name = $3 and revoked_at is null"
        " returning 1",
        at,
        kind,
        name,
    )
    if found is None:
        raise NotKnown(f"{'store' if kind == 'store' else 'token'} {name!r} has no live token")


async def add_person(tx: Transaction, person: Person) -> None:
    """Let someone log in; who is known already gets the new role."""
    await note(tx.connection, "access")
    await tx.connection.execute(
        "insert into person (name, role, added_at) values ($1, $2, $3)"
        " on conflict (name) do update set role = excluded.role",
        person.name,
        person.role,
        person.added_at,
    )


async def remove_person(tx: Transaction, name: str) -> None:
    """Forget someone with all links and sessions; NotKnown when there is no such person."""
    await note(tx.connection, "access")
    if await tx.connection.fetchval("delete from person where name = $1 returning 1", name) is None:
        raise NotKnown(f"there is no user {name!r}")
    await tx.connection.execute("delete from login_link where person = $1", name)
    await tx.connection.execute("delete from login_session where person = $1", name)


async def add_login_link(tx: Transaction, hash_: bytes, person: str, expires_at: str) -> None:
    """Keep a one-time link; it replaces an unused one of the same person."""
    await tx.connection.execute("delete from login_link where person = $1", person)
    await tx.connection.execute(
        "insert into login_link (hash, person, expires_at) values ($1, $2, $3)", hash_, person, expires_at
    )


async def redeem_login_link(tx: Transaction, hash_: bytes, session: LoginSession, at: str) -> LoginSession:
    """Use a link up and open `session` for its person; NotKnown when it is used, expired or foreign."""
    await note(tx.connection, "access")
    name = await tx.connection.fetchval(
        "delete from login_link where hash = $1 and expires_at > $2 returning person", hash_, at
    )
    role = await tx.connection.fetchval("select role from person where name = $1", name)
    if role is None:
        raise NotKnown("this login link was used or has expired", hint="ask for a new one")
    await tx.connection.execute("delete from login_session where expires_at <= $1", at)
    await tx.connection.execute(
        "insert into login_session (hash, person, csrf, expires_at) values ($1, $2, $3, $4)",
        session.hash,
        name,
        session.csrf,
        session.expires_at,
    )
    return LoginSession(session.hash, name, role, session.csrf, session.expires_at)


async def login_sessions(connection: Connection, at: str) -> list[LoginSession]:
    """Browsers that are logged in now."""
    rows = await connection.fetch(
        "select s.hash, s.person, p.role, s.csrf, s.expires_at from login_session s"
        " join person p on p.name = s.person where s.expires_at > $1",
        at,
    )
    return [LoginSession(*row) for row in rows]


async def end_login_session(tx: Transaction, hash_: bytes) -> None:
    """Log one browser out."""
    await note(tx.connection, "access")
    await tx.connection.execute("delete from login_session where hash = $1", hash_)
