"""Rollouts: asked for, watched, and moved by people."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import Kind, Progress, State
from tidegate.domain.rollout_apply import Verb, VerbRefusedError
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionIfGiven, set_etag
from tidegate.manager.api.paging import Page, PagingHere
from tidegate.manager.api.problems import conflict, invalid, not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.routes.releases import Changes, changes_shown
from tidegate.manager.api.routes.rollout_model import (
    NewRollout,
    Order,
    Rollout,
    RolloutTarget,
    shown,
    shown_target,
)
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.releases.views import compare_rollout
from tidegate.manager.rollouts import verbs, views
from tidegate.manager.rollouts.create import CreateRefusedError, Wish, create
from tidegate.manager.rollouts.service import steps
from tidegate.manager.rollouts.waiting import waits_for
from tidegate.manager.store.schema import channels, releases, rollout_targets, rollouts

router: APIRouter = make_router("rollouts")
RolloutId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The number of the rollout.")]


@router.get("/rollouts", dependencies=[needs(Permission.READ)])
async def list_rollouts(
    parts: PartsHere,
    paging: PagingHere,
    state: Annotated[list[State] | None, Query(description="Only those in one of these states.")] = None,
    channel: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only those of this channel.")] = None,
    kind: Annotated[Kind | None, Query(description="Only those that go forward, or back.")] = None,
) -> Page[Rollout]:
    """List rollouts, the newest first."""
    statement = views.rollout_rows()
    if state:
        statement = statement.where(rollouts.c.state.in_(state))
    if channel is not None:
        statement = statement.where(rollouts.c.channel_id == channel)
    if kind is not None:
        statement = statement.where(rollouts.c.kind == kind)
    async with parts.db.read() as conn:
        rows, after = await paging.rows(conn, statement, rollouts.c.id, newest_first=True)
        approvals = await views.approvals_of(conn, [row.id for row in rows])
    return Page(items=[shown(row, approvals.get(row.id, [])) for row in rows], next=after)


@router.post("/rollouts", status_code=201, dependencies=[needs(Permission.OPERATE)])
async def start_rollout(body: NewRollout, change: ChangeHere, parts: PartsHere, response: Response) -> Rollout:
    """Have a release go out. Where the channel's policy asks for approval, it waits for that."""
    digest, named = await _digest(change.conn, body), await _named(change.conn, body)
    wish = Wish(
        body.channel,
        digest,
        targets=await _targets(change.conn, body, named),
        named=named,
        not_before=body.not_before,
        reason=body.reason,
    )
    try:
        made = await create(change.conn, wish, change.actor, change.now)
    except CreateRefusedError as error:
        raise conflict("not-to-be-made", f"{error}.") from error
    return await decided(change, parts, int(made.id), response)


@router.get("/rollouts/{id}", dependencies=[needs(Permission.READ)])
async def show_rollout(id: RolloutId, parts: PartsHere, response: Response) -> Rollout:  # noqa: A002
    """Show one rollout, with its waves and the rules that it goes by."""
    async with parts.db.read() as conn:
        return await one(conn, id, parts.clock(), response)


@router.get("/rollouts/{id}/targets", dependencies=[needs(Permission.READ)])
async def list_rollout_targets(
    id: RolloutId,  # noqa: A002
    parts: PartsHere,
    paging: PagingHere,
    wave: Annotated[int | None, Query(ge=1, le=100_000, description="Only those of this wave.")] = None,
    progress: Annotated[list[Progress] | None, Query(description="Only those that are here.")] = None,
) -> Page[RolloutTarget]:
    """List the targets of a rollout, in the order of its waves."""
    statement = views.target_rows(id)
    if wave is not None:
        statement = statement.where(rollout_targets.c.wave == wave - 1)
    if progress:
        statement = statement.where(rollout_targets.c.progress.in_(progress))
    async with parts.db.read() as conn:
        if (await conn.execute(select(rollouts.c.id).where(rollouts.c.id == id))).first() is None:
            raise not_found(f"rollout {id}")
        rows, after = await paging.rows(conn, statement, rollout_targets.c.position)
    return Page(items=[shown_target(row) for row in rows], next=after)


@router.get("/rollouts/{id}/changes", dependencies=[needs(Permission.READ)])
async def show_rollout_changes(id: RolloutId, parts: PartsHere) -> Changes:  # noqa: A002
    """Show what changes for a target with this rollout."""
    async with parts.db.read() as conn:
        found = await compare_rollout(conn, id)
    if found is None:
        raise not_found(f"rollout {id}")
    return changes_shown(found)


async def one(conn: AsyncConnection, id_: int, now: datetime, response: Response | None = None) -> Rollout:
    """A rollout as it is sent. Raises `Problem` where there is none."""
    row = (await conn.execute(views.rollout_rows().where(rollouts.c.id == id_))).one_or_none()
    if row is None:
        raise not_found(f"rollout {id_}")
    if response is not None:
        set_etag(response, row.edition)
    approvals = await views.approvals_of(conn, [id_])
    held = await waits_for(conn, row, now)
    return shown(row, approvals.get(id_, []), await views.waves_of(conn, id_), waits_for=held, whole=True)


async def decided(change: Change, parts: Parts, id_: int, response: Response | None = None) -> Rollout:
    """A rollout after what follows from a change of it was decided."""
    taking = parts.one(steps)
    channel = await taking.take_within(change.conn, id_)
    if channel is not None:
        change.afterwards(partial(taking.wake_others, id_, channel))
    return await one(change.conn, id_, change.now, response)


async def _digest(conn: AsyncConnection, body: NewRollout) -> str:
    if (body.release is None) == (body.digest is None):
        raise invalid("body.release", "give either release or digest")
    if (await conn.execute(select(channels.c.id).where(channels.c.id == body.channel))).first() is None:
        raise not_found(f"channel {body.channel}")
    if body.digest is not None:
        return body.digest
    wanted = select(releases.c.digest).where(releases.c.id == body.release, releases.c.channel_id == body.channel)
    digest: str | None = (await conn.execute(wanted)).scalar_one_or_none()
    if digest is None:
        raise not_found(f"release {body.release} of channel {body.channel}")
    return digest


async def _named(conn: AsyncConnection, body: NewRollout) -> set[int]:
    """The targets that are named one by one."""
    if body.targets is None:
        return set()
    known = await views.ids_of_targets(conn, body.targets)
    _all_known("targets", body.targets, known)
    return set(known.values())


async def _targets(conn: AsyncConnection, body: NewRollout, named: set[int]) -> set[int] | None:
    """The targets that are meant, beside these; None: all of the channel."""
    if body.targets is None and body.clusters is None:
        return None
    of = await views.targets_of_clusters(conn, body.clusters or [], body.channel)
    _all_known("clusters", body.clusters or [], of)
    return named.union(*of.values())


def _all_known(field: str, names: list[str], known: Any) -> None:
    strange = [name for name in names if name not in known]
    if strange:
        more = f", nor {len(strange) - 1} more" if strange[1:] else ""
        raise invalid(f"body.{field}", f"{strange[0]!r} is not known{more}")


# what people do to a rollout

Endpoint = Callable[..., Awaitable[Rollout]]


def _verb(verb: str, permission: Permission, about: str) -> None:
    async def endpoint(  # noqa: PLR0917 - what the request is made of
        id: RolloutId,  # noqa: A002
        change: ChangeHere,
        parts: PartsHere,
        response: Response,
        edition: EditionIfGiven,
        body: Order | None = None,
    ) -> Rollout:
        order = verbs.Order(verb, change.actor, body.reason if body else "", edition.number)
        try:
            found = await verbs.carry_out(change.conn, id, order, change.now)
        except VerbRefusedError as error:
            raise conflict("no-meaning-now", f"{error}.") from error
        except verbs.StaleError:
            raise edition.stale(f"rollout {id}") from None
        if found is None:
            raise not_found(f"rollout {id}")
        return await decided(change, parts, id, response)

    endpoint.__doc__ = about
    path = f"/rollouts/{{id}}/{verb}"
    router.add_api_route(
        path, endpoint, methods=["POST"], dependencies=[needs(permission)], name=f"{verb}_rollout", description=about
    )


_verb(verbs.APPROVE, Permission.APPROVE, "Agree to a rollout that somebody else has asked for.")
_verb(Verb.REJECT, Permission.APPROVE, "Turn a rollout down that waits for approval.")
_verb(Verb.PAUSE, Permission.OPERATE, "Begin nothing more of it; what has begun is finished or put back.")
_verb(Verb.RESUME, Permission.OPERATE, "Go on; failures so far do not count any more.")
_verb(Verb.ABORT, Permission.OPERATE, "End it, and leave what it has updated as it is.")
_verb(Verb.RETRY, Permission.OPERATE, "Try again what has failed, was skipped or was offline.")
_verb(Verb.ADVANCE, Permission.OPERATE, "Open the next wave now, without waiting for the soak.")
