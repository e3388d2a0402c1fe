"""Going back: of a target, a cluster or a whole channel."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import select

from tidegate.domain.rollout_apply import VerbRefusedError
from tidegate.domain.values import near_miss
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.problems import conflict, not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.routes.rollout_model import GoBack, WentBack
from tidegate.manager.api.routes.rollouts import decided
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.store.schema import channels, clusters, targets

router: APIRouter = make_router("rollouts")
_NAME = {"max_length": 400}


@router.post("/channels/{id}/rollback", dependencies=[needs(Permission.OPERATE)])
async def roll_back_channel(
    id: Annotated[int, Path(ge=1, le=2**63 - 1, description="The number of the channel.")],  # noqa: A002
    change: ChangeHere,
    parts: PartsHere,
    body: GoBack | None = None,
) -> WentBack:
    """Put every target of a channel back. An update that is under way is turned round instead."""
    wish = body or GoBack()
    if (await change.conn.execute(select(channels.c.id).where(channels.c.id == id))).first() is None:
        raise not_found(f"channel {id}")
    try:
        if wish.to is None:
            turned = await rollback.roll_back_what_is_under_way(
                change.conn, id, change.actor, change.now, reason=wish.reason
            )
            if turned is not None:
                return WentBack(items=[await decided(change, parts, int(turned.id))])
        going = await rollback.of_channel(change.conn, id, wish.to)
    except (CreateRefusedError, VerbRefusedError) as error:
        raise conflict("not-to-be-made", f"{error}.") from error
    return await _go(change, parts, going, wish)


@router.post("/clusters/{name}/rollback", dependencies=[needs(Permission.OPERATE)])
async def roll_back_cluster(
    name: Annotated[str, Path(description="The cluster, `PROJECT@AGENT`.", **_NAME)],
    change: ChangeHere,
    parts: PartsHere,
    body: GoBack | None = None,
) -> WentBack:
    """Put every target of a cluster back."""
    row = (await change.conn.execute(select(clusters.c.id).where(clusters.c.name == name))).first()
    if row is None:
        known = (await change.conn.execute(select(clusters.c.name).limit(1000))).scalars().all()
        raise not_found(f"cluster {name!r}", near_miss(name, list(known)).strip())
    return await _of(change, parts, rollback.of_cluster, row.id, body)


@router.post("/targets/{cluster}/{service}/rollback", dependencies=[needs(Permission.OPERATE)])
async def roll_back_target(
    cluster: Annotated[str, Path(description="The cluster, `PROJECT@AGENT`.", **_NAME)],
    service: Annotated[str, Path(description="The service.", **_NAME)],
    change: ChangeHere,
    parts: PartsHere,
    body: GoBack | None = None,
) -> WentBack:
    """Put one target back."""
    name = f"{cluster}/{service}"
    row = (await change.conn.execute(select(targets.c.id).where(targets.c.name == name))).first()
    if row is None:
        raise not_found(f"target {name!r}")
    return await _of(change, parts, rollback.of_target, row.id, body)


async def _of(change: Change, parts: Parts, which: rollback.Which, id_: int, body: GoBack | None) -> WentBack:
    wish = body or GoBack()
    try:
        going = await which(change.conn, id_, wish.to)
    except CreateRefusedError as error:
        raise conflict("not-to-be-made", f"{error}.") from error
    return await _go(change, parts, going, wish)


async def _go(change: Change, parts: Parts, going: Sequence[rollback.Going], wish: GoBack) -> WentBack:
    try:
        made = await rollback.go_back(change.conn, going, change.actor, change.now, reason=wish.reason)
    except CreateRefusedError as error:
        raise conflict("not-to-be-made", f"{error}.") from error
    return WentBack(items=[await decided(change, parts, int(one.id)) for one in made])
