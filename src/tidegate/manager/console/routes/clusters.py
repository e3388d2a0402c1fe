"""One cluster: how it stands and why, its labels, and going back."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Query, Request
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from tidegate.domain.reference import is_digest
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.etag import Edition
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.api.problems import invalid, not_found
from tidegate.manager.api.routes.clusters import LabelsIn, set_labels
from tidegate.manager.api.routes.rollouts import decided
from tidegate.manager.console.cluster import cluster_rows, look
from tidegate.manager.console.form import LONGEST_REASON, edition_of, fields, reason_of
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.console.undone import check_seal, done, seal, tried
from tidegate.manager.parts import Parts
from tidegate.manager.people.audit import Actor
from tidegate.manager.people.roles import Permission
from tidegate.manager.people.tokens import Who
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.runs import first_runs
from tidegate.manager.store.schema import clusters, quarantine, releases, targets

router = console_router()
_OPERATE = [needs(Permission.OPERATE)]
ClusterName = Annotated[str, Path(max_length=300)]
_LONGEST = 300
_MOST_EARLIER = 20


def address(name: str) -> str:
    """Where a cluster's page is, whatever it is called."""
    return f"/clusters/{quote(name, safe='@')}"


# its labels


@router.get("/clusters/{name:path}/labels", dependencies=_OPERATE)
async def ask_labels(request: Request, name: ClusterName, parts: PartsHere) -> Response:
    """Asks for all of its labels."""
    async with reading(request) as conn:
        row = await _cluster(conn, parts, name)
    return page(request, "cluster_labels.html", it=row, here=address(name))


@router.post("/clusters/{name:path}/labels", dependencies=_OPERATE)
async def change_labels(request: Request, name: ClusterName, change: ChangeHere) -> Response:
    """Takes what was filled in there."""
    given = await fields(request)
    await set_labels(change, name, _labels(given.get("labels", "")), Edition(edition_of(given)))
    return RedirectResponse(address(name), HTTPStatus.SEE_OTHER)


def _labels(text: str) -> LabelsIn:
    """`NAME=VALUE` on a line each. Raises `Problem`."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise invalid("body.labels", f"{line!r} is not NAME=VALUE")
        if name in found:
            raise invalid("body.labels", f"{name!r} is there twice")
        found[name] = value
    try:
        return LabelsIn(labels=found)
    except ValidationError:
        takes = (
            "at most 64 labels, each with a name of 1 to 63 letters, digits, and . _ / -, beginning with a letter or "
            "digit, and a value of at most 256 characters"
        )
        raise invalid("body.labels", f"it takes {takes}") from None


# going back


@router.get("/clusters/{name:path}/rollback", dependencies=_OPERATE)
async def ask_rollback(
    request: Request,
    name: ClusterName,
    parts: PartsHere,
    service: Annotated[str, Query(max_length=_LONGEST)] = "",
    to: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Shows what would go where: of all services, or of one."""
    who: Who = request.state.who
    async with reading(request) as conn:
        row = await _cluster(conn, parts, name)
        earlier, versions = await _earlier(conn, row.id, service), await _versions(conn, row.id)
    work = _back(name, service, _digest(to), who.actor)
    back, refused = await tried(parts, lambda conn: work(conn, parts, ""))
    about: dict[str, Any] = {
        "service": service,
        "to": to,
        "earlier": earlier,
        "versions": versions,
        "most": LONGEST_REASON,
    }
    would: dict[str, Any] = {"back": back, "refused": refused, "seal": seal(_shown(back)) if back is not None else ""}
    return page(request, "cluster_rollback.html", it=row, here=address(name), **would, **about)


@router.post("/clusters/{name:path}/rollback", dependencies=_OPERATE)
async def roll_back(request: Request, name: ClusterName, change: ChangeHere, parts: PartsHere) -> Response:
    """Does what was shown, if it is that still."""
    given = await fields(request)
    work = _back(name, given.get("service", ""), _digest(given.get("to", "")), change.actor)
    back = await done(lambda: work(change.conn, parts, reason_of(given)))
    check_seal(given.get("seal", ""), _shown(back), f"What would go back in {name}")
    for each in back.rollouts:
        await decided(change, parts, int(each.id))
    made = [int(each.id) for each in back.rollouts]
    return RedirectResponse(f"/rollouts/{made[0]}" if len(made) == 1 else address(name), HTTPStatus.SEE_OTHER)


Work = Callable[[AsyncConnection, Parts, str], Awaitable[rollback.Back]]


def _back(name: str, service: str, to: str | None, by: Actor) -> Work:
    """Takes a cluster, or one of its services, back."""

    async def work(conn: AsyncConnection, parts: Parts, reason: str) -> rollback.Back:
        which, id_ = await _which(conn, name, service)
        return await rollback.go_back(conn, await which(conn, id_, to), by, parts.clock(), reason=reason)

    return work


async def _which(conn: AsyncConnection, name: str, service: str) -> tuple[rollback.Which, int]:
    of_service = select(targets.c.id).where(targets.c.name == f"{name}/{service}")
    wanted = of_service if service else select(clusters.c.id).where(clusters.c.name == name)
    id_ = (await conn.execute(wanted)).scalar_one_or_none()
    if id_ is None:
        raise not_found(f"service {service!r} of {name!r}" if service else f"cluster {name!r}")
    return rollback.of_target if service else rollback.of_cluster, id_


def _shown(back: rollback.Back) -> list[object]:
    return [*sorted((one.name, one.running, one.to) for one in back.going), *sorted(one.name for one in back.left)]


def _digest(to: str) -> str | None:
    if to and not is_digest(to):
        raise invalid("query.to", "it is no digest; it takes `sha256:` and 64 hex digits")
    return to or None


async def _earlier(conn: AsyncConnection, cluster_id: int, service: str) -> list[str]:
    """The digests that may be gone back to by name, the latest that ran first."""
    its = targets.c.cluster_id == cluster_id, targets.c.channel_id.is_not(None)
    wanted = select(targets.c.channel_id, targets.c.digest).where(*its, targets.c.gone_at.is_(None))
    rows = (await conn.execute(wanted.where(targets.c.service == service) if service else wanted)).all()
    known = await first_runs(conn, {one.channel_id for one in rows})
    since = {digest: at for some in known.values() for digest, at in some.items()}
    held = set((await conn.execute(select(quarantine.c.digest).where(quarantine.c.released_at.is_(None)))).scalars())
    everywhere = {one.digest for one in rows}
    usable = [one for one in since if one not in held and everywhere != {one}]
    return sorted(usable, key=since.__getitem__, reverse=True)[:_MOST_EARLIER]


async def _versions(conn: AsyncConnection, cluster_id: int) -> Mapping[str, str]:
    """By digests, the versions that the channels of a cluster know."""
    followed = select(targets.c.channel_id).where(targets.c.cluster_id == cluster_id)
    wanted = select(releases.c.digest, releases.c.version).where(releases.c.channel_id.in_(followed))
    return {one.digest: one.version for one in await conn.execute(wanted)}


async def _cluster(conn: AsyncConnection, parts: Parts, name: str) -> Any:
    there = is_online(heard_since(parts))
    row = (await conn.execute(cluster_rows(there).where(clusters.c.name == name))).one_or_none()
    if row is None:
        raise not_found(f"cluster {name!r}")
    return row


# itself; its name may hold anything, also what the addresses above end with


@router.get("/clusters/{name:path}", dependencies=[needs(Permission.READ)])
async def show(request: Request, name: ClusterName, parts: PartsHere) -> Response:
    """One, with its services."""
    async with reading(request) as conn:
        found = await look(conn, is_online(heard_since(parts)), name, parts.clock())
    if found is None:
        raise not_found(f"cluster {name!r}")
    return page(request, "cluster.html", it=found.row, found=found, here=address(name))
