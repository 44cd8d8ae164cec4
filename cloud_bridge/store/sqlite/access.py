"""Credentials, people and their logins in SQLite: hashes only, never a secret."""

from __future__ import annotations

import sqlite3

from cloud_bridge.errors import AlreadyThere, NotKnown
from cloud_bridge.store.records import Credential, LoginSession, Person
from cloud_bridge.store.sqlite.writer import Transaction


def credentials(connection: sqlite3.Connection) -> list[Credential]:
    """All tokens, revoked ones too."""
    rows = connection.execute(
        "select hash, kind, name, role, added_at, revoked_at from credential order by kind, name, added_at"
    )
    return [Credential(*row) for row in rows]


def people(connection: sqlite3.Connection) -> list[Person]:
    """Everyone who may log in."""
    rows = connection.execute("select name, role, added_at from person order by name")
    return [Person(*row) for row in rows]


def add_credential(tx: Transaction, credential: Credential) -> None:
    """Keep a new token; a store's first one adds the store. AlreadyThere: the name has a live token."""
    live = tx.connection.execute(
        "select 1 from credential where kind = ? and name = ? and revoked_at is null",
        (credential.kind, credential.name),
    ).fetchone()
    if live is not None:
        what = "store" if credential.kind == "store" else "token"
        raise AlreadyThere(
            f"{what} {credential.name!r} already has a token",
            hint=f"cloud-bridge {what} revoke {credential.name}",
        )
    tx.connection.execute(
        "insert into credential (hash, kind, name, role, added_at) values (?, ?, ?, ?, ?)",
        (credential.hash, credential.kind, credential.name, credential.role, credential.added_at),
    )
    if credential.kind == "store":
        tx.connection.execute(
            "insert into store (store, added_at) values (?, ?) on conflict do nothing",
            (credential.name, credential.added_at),
        )


def revoke_credential(tx: Transaction, kind: str, name: str, at: str) -> None:
    """End a name's live token; NotKnown when it has none."""
    cursor = tx.connection.execute(
        "update credential set revoked_at = ? where kind = ? and name = ? and revoked_at is null",
        (at, kind, name),
    )
    if cursor.rowcount == 0:
        raise NotKnown(f"{'store' if kind == 'store' else 'token'} {name!r} has no live token")


def add_person(tx: Transaction, person: Person) -> None:
    """Let someone log in; who is known already gets the new role."""
    tx.connection.execute(
        "insert into person (name, role, added_at) values (?, ?, ?)"
        " on conflict (name) do update set role = excluded.role",
        (person.name, person.role, person.added_at),
    )


def remove_person(tx: Transaction, name: str) -> None:
    """Forget someone with all links and sessions; NotKnown when there is no such person."""
    if tx.connection.execute("delete from person where name = ?", (name,)).rowcount == 0:
        raise NotKnown(f"there is no user {name!r}")
    tx.connection.execute("delete from login_link where person = ?", (name,))
    tx.connection.execute("delete from login_session where person = ?", (name,))


def add_login_link(tx: Transaction, hash_: bytes, person: str, expires_at: str) -> None:
    """Keep a one-time link; it replaces an unused one of the same person."""
    tx.connection.execute("delete from login_link where person = ?", (person,))
    tx.connection.execute(
        "insert into login_link (hash, person, expires_at) values (?, ?, ?)", (hash_, person, expires_at)
    )


def redeem_login_link(tx: Transaction, hash_: bytes, session: LoginSession, at: str) -> LoginSession:
    """Use a link up and open `session` for its person; NotKnown when it is used, expired or foreign."""
    row = tx.connection.execute(
        "delete from login_link where hash = ? and expires_at > ? returning person", (hash_, at)
    ).fetchone()
    found = row and tx.connection.execute("select role from person where name = ?", row).fetchone()
    if not found:
        raise NotKnown("this login link was used or has expired", hint="ask for a new one")
    tx.connection.execute("delete from login_session where expires_at <= ?", (at,))
    tx.connection.execute(
        "insert into login_session (hash, person, csrf, expires_at) values (?, ?, ?, ?)",
        (session.hash, row[0], session.csrf, session.expires_at),
    )
    return LoginSession(session.hash, row[0], found[0], session.csrf, session.expires_at)


def login_sessions(connection: sqlite3.Connection, at: str) -> list[LoginSession]:
    """Browsers that are logged in."""
    rows = connection.execute(
        "select hash, s.person, p.role, csrf, expires_at from login_session s"
        " join person p on p.name = s.person where expires_at > ?",
        (at,),
    )
    return [LoginSession(*row) for row in rows]


def end_login_session(tx: Transaction, hash_: bytes) -> None:
    """Log one browser out."""
    tx.connection.execute("delete from login_session where hash = ?", (hash_,))
