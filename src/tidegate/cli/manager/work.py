"""What the commands do."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
import uvloop
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.agent.logs import configure_logs
from tidegate.cli.failures import FAILED, INTERRUPTED, OK, USAGE, complain
from tidegate.manager.agents import newest_key
from tidegate.manager.agents.keys import KeysError, rotate
from tidegate.manager.parts import now
from tidegate.manager.people.audit import MANAGER, Actor, record
from tidegate.manager.people.names import NAME_TAKES, is_user_name
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import UserNameRefusedError, make_token
from tidegate.manager.rollouts.anew import rules_changed
from tidegate.manager.rollouts.standstill import stop_ways_back
from tidegate.manager.serve import ListenError
from tidegate.manager.serve import serve as run_manager
from tidegate.manager.settings import ManagerSettings, ManagerSettingsError, load_manager_settings
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreError
from tidegate.manager.store.migrate import migrate as run_migrations
from tidegate.manager.store.schema import freezes
from tidegate.manager.telling.sinks.apprise import AppriseError
from tidegate.protocol.keys import load_key, make_key, public_text

HOLD = "on hold"
_HOLD = timedelta(days=30)
_HELD = "the database was restored; nothing goes out before somebody has looked"
_HERE = "command line"
_log = structlog.get_logger(__name__)


class UsageError(Exception):
    """What was asked for is not to be had; the message says what is."""


def ended(what: Callable[[Any, ManagerSettings], Coroutine[Any, Any, None]], environ: Mapping[str, str]) -> int:
    """Run a command to its end; the exit code."""
    try:
        settings = load_manager_settings(environ)
        configure_logs(settings)
        os.umask(0o077)  # the database and the key are for nobody else
        for warning in settings.warnings:
            _log.warning(warning)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(what(sys.modules[__name__], settings))
    except (ManagerSettingsError, UsageError) as error:
        complain(str(error))
        return USAGE
    except (StoreError, KeysError, ListenError, AppriseError) as error:
        complain(" ".join(f"{error}.".split()))
        return FAILED
    except OSError as error:
        complain(_of_a_file(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK


def _of_a_file(error: OSError) -> str:
    if error.filename is None:
        return f"{error.strerror or error}."
    return (
        f"{error.filename} cannot be used: {error.strerror}; TIDEGATE_DATA is a folder that belongs to the "
        f"user who runs this, with all that is in it."
    )


async def serve(settings: ManagerSettings) -> None:
    """Run the manager."""
    await run_manager(settings)


async def migrate(settings: ManagerSettings) -> None:
    """Bring the database up to date, and say from what to what."""
    db = Database.at(settings.database_url)
    try:
        before, after = await run_migrations(db)
    finally:
        await db.close()
    print(f"The database is at revision {after}" + (f"; it was at {before or 'none'}." if before != after else "."))


async def create_token(settings: ManagerSettings, user: str, role: str) -> None:
    """Make a token, and print it alone on the output."""
    if role not in set(Role):
        raise UsageError(f"--role {role!r} is not one of {', '.join(Role)}.")
    if not is_user_name(user):
        raise UsageError(f"{user!r} is no name of a user; it takes {NAME_TAKES}.")
    db = Database.at(settings.database_url)
    try:
        await run_migrations(db)
        async with db.write() as conn:
            at = now()
            number, text = await make_token(conn, user, Role(role), at, by=_HERE)
            about = {"user": user, "role": role}
            await record(conn, Actor(MANAGER, _HERE), "token.create", f"token {number}", at, after=about)
    except UserNameRefusedError as error:
        raise UsageError(f"{error}.") from error
    finally:
        await db.close()
    print(text)
    print(f"Token {number} of {user} ({role}). It is not shown again.", file=sys.stderr)


async def hold(settings: ManagerSettings) -> None:
    """Freeze everything, in the database at hand, and stop what goes back, for which no freeze holds."""
    db = Database.at(settings.database_url)
    try:
        await run_migrations(db)
        async with db.write() as conn:
            at = now()
            await rules_changed(conn, at)
            stopped = await stop_ways_back(conn, Actor(MANAGER, _HERE), at, reason=f"{HOLD}: {_HELD}")
            before = await _let_go(conn)
            frozen = {"name": HOLD, "starts_at": at, "ends_at": at + _HOLD, "reason": _HELD, "scope": {}}
            added = insert(freezes).values(frozen | {"created_by": MANAGER, "created_at": at}).returning(freezes.c.id)
            number = (await conn.execute(added)).scalar_one()
            after = _kept(HOLD, at + _HOLD, _HELD)
            await record(
                conn, Actor(MANAGER, _HERE), "freeze.create", f"freeze {number}", at, before=before, after=after
            )
    finally:
        await db.close()
    print(f"No update begins for {_HOLD.days} days, or until `tidegate freeze remove '{HOLD}' --yes`.")
    for id_ in stopped:
        print(f"Rollout {id_} went back, and is stopped: see who still has to, once agents have told what they run.")


async def _let_go(conn: AsyncConnection) -> dict[str, Any] | None:
    """Take away a freeze of that name; what it was."""
    gone = delete(freezes).where(freezes.c.name == HOLD).returning(freezes)
    row = (await conn.execute(gone)).first()
    return None if row is None else {"id": row.id} | _kept(row.name, row.ends_at, row.reason)


def _kept(name: str, ends_at: datetime, reason: str) -> dict[str, Any]:
    return {"name": name, "ends_at": ends_at.isoformat(), "reason": reason}


async def rotate_key(settings: ManagerSettings) -> None:
    """Put a new key before the others. A manager that runs takes it up by itself."""
    path, new = settings.signing_key_file, make_key()
    public = public_text(load_key(new))
    db = Database.at(settings.database_url)
    try:
        await run_migrations(db)
        async with db.write() as conn:
            at = now()
            await newest_key.claim(conn, path, at)
            await record(conn, Actor(MANAGER, _HERE), "key.rotate", "signing key", at, after={"public_key": public})
            await newest_key.note(conn, public, at)
            rotate(path, new=new)  # last: whoever reads it now waits for this to be committed, which waits for nobody
    finally:
        await db.close()
    print(f"What agents are told is signed by {public} from now on; {path} keeps the key before it.")
    print("Back it up, and have the same file on every replica.")


async def adopt_key(settings: ManagerSettings) -> None:
    """Have the key in the file be the newest; one is made where there is no file."""
    path = settings.signing_key_file
    db = Database.at(settings.database_url)
    try:
        await run_migrations(db)
        async with db.write() as conn:
            at = now()
            was, public = await newest_key.adopt(conn, path, at)
            before = {"public_key": was} if was else None
            after = {"public_key": public}
            await record(conn, Actor(MANAGER, _HERE), "key.adopt", "signing key", at, before=before, after=after)
    finally:
        await db.close()
    print(f"What agents are told is signed by {public} from now on, the first key in {path}.")
    print("Back it up, have the same file on every replica, and enrol agents anew that know no key of it.")
