"""Going back: of a target, a cluster, a whole channel, or what a rollout has updated."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path, Response
from sqlalchemy import select

from tidegate.domain.rollout_apply import Verb, VerbRefusedError
from tidegate.domain.values import near_miss
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionIfGiven, set_etag
from tidegate.manager.api.problems import conflict, not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.routes.rollout_model import GoBack, GoesTo, LeftBehind, Rollout, WentBack
from tidegate.manager.api.routes.rollouts import RolloutId, decided
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.rollouts.verbs import Order, StaleError
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
    """Put every target of a channel back.

    An update of it that is under way is turned round instead; one that has offered nothing yet is aborted.
    """
    if (await change.conn.execute(select(channels.c.id).where(channels.c.id == id))).first() is None:
        raise not_found(f"channel {id}")
    wish = body or GoBack()

    async def work() -> rollback.Back:
        return await rollback.channel_back(change.conn, id, wish.to, change.actor, change.now, reason=wish.reason)

    return await _go(change, parts, work, wish)


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


@router.post("/rollouts/{id}/rollback", name="rollback_rollout", dependencies=[needs(Permission.OPERATE)])
async def roll_back_rollout(  # noqa: PLR0917 - what the request is made of
    id: RolloutId,  # noqa: A002
    change: ChangeHere,
    parts: PartsHere,
    response: Response,
    edition: EditionIfGiven,
    body: GoBack | None = None,
) -> Rollout | WentBack:
    """Put back everything that it has updated; with `to`, have all its targets go to that release.

    Without `to`, one that is under way is turned round and is the answer. Of one that has ended, what still runs its
    release goes back to what ran before, and nobody catches up with it any more: that is answered as for a channel, and
    so is what is done with `to`.
    """
    wish = body or GoBack()

    async def work() -> rollback.Back:
        order = Order(Verb.ROLL_BACK, change.actor, wish.reason, edition.number)
        try:
            back = await rollback.rollout_back(change.conn, id, wish.to, order, change.now)
        except VerbRefusedError as error:
            raise conflict("no-meaning-now", f"{error}.") from error
        except StaleError:
            raise edition.stale(f"rollout {id}") from None
        if back is None:
            raise not_found(f"rollout {id}")
        return back

    went = await _go(change, parts, work, wish)
    if wish.to is not None or [one.id for one in went.items] != [id]:
        return went
    set_etag(response, went.items[0].edition)
    return went.items[0]


async def _of(change: Change, parts: Parts, which: rollback.Which, id_: int, body: GoBack | None) -> WentBack:
    wish = body or GoBack()

    async def work() -> rollback.Back:
        plan = await which(change.conn, id_, wish.to)
        return await rollback.go_back(change.conn, plan, change.actor, change.now, reason=wish.reason)

    return await _go(change, parts, work, wish)


async def _go(change: Change, parts: Parts, work: Callable[[], Awaitable[rollback.Back]], wish: GoBack) -> WentBack:
    """Do it, or do and undo it: then what is told is what would be done."""
    try:
        async with change.conn.begin_nested() as point:
            back = await work()
            if wish.dry_run:
                await point.rollback()
    except (CreateRefusedError, VerbRefusedError) as error:
        raise conflict("not-to-be-made", f"{error}.") from error
    begun = [] if wish.dry_run else [await decided(change, parts, int(one.id)) for one in back.rollouts]
    return _shown(begun, back)


def _shown(begun: list[Rollout], back: rollback.Back) -> WentBack:
    ways: dict[str, list[str]] = {}
    for one in back.going:
        ways.setdefault(one.to, []).append(one.name)
    return WentBack(
        items=begun,
        going=[GoesTo(to=to, targets=names) for to, names in ways.items()],
        left=[LeftBehind(target=one.name, reason=one.reason) for one in back.left],
        aborted=list(back.aborted),
    )
