"""Rollouts: the list, one as it moves, and what people do to it."""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path, Query, Request
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from tidegate.domain.rollout import ENDED, Progress, State
from tidegate.domain.rollout_apply import Verb, VerbRefusedError
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.problems import STALE, Problem, conflict, not_found
from tidegate.manager.api.routes.rollouts import decided, one
from tidegate.manager.console.form import LONGEST_REASON, edition_of, fields, reason_of
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.console.timeline import timeline
from tidegate.manager.console.undone import tried
from tidegate.manager.console.verbs import BUTTONS, Button, offered
from tidegate.manager.console.words import told_apart
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.people.tokens import Who
from tidegate.manager.releases.views import compare_rollout
from tidegate.manager.rollouts import rollback, verbs, views
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.store.schema import rollout_targets, rollouts

router = console_router()
RolloutId = Annotated[int, Path(ge=1, le=2**63 - 1)]
_MOST_CELLS = 5000


@router.get("/rollouts", dependencies=[needs(Permission.READ)])
async def show_list(request: Request, paging: PagingHere, state: Annotated[str, Query(max_length=30)] = "") -> Response:
    """All of them, the newest first."""
    chosen = State(state) if state in set(State) else None
    statement = views.rollout_rows()
    if chosen is not None:
        statement = statement.where(rollouts.c.state == chosen)
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, statement, rollouts.c.id, newest_first=True)
        counts = await _progress(conn, [row.id for row in rows])
        states = await conn.execute(select(rollouts.c.state, func.count()).group_by(rollouts.c.state))
        by_state = {state: count for state, count in states.all()}  # noqa: C416 - rows are no pairs to the type checker
    known = {one: by_state[one] for one in State if by_state.get(one)}
    return page(request, "rollouts.html", rows=rows, counts=counts, states=known, chosen=chosen, next=after)


@router.get("/rollouts/{id}", dependencies=[needs(Permission.READ)])
async def show(request: Request, id: RolloutId, parts: PartsHere) -> Response:  # noqa: A002
    """One, with its waves as lanes."""
    async with reading(request) as conn:
        it = await one(conn, id, parts.clock())
        row = (await conn.execute(views.rollout_rows().where(rollouts.c.id == id))).one()
        cells = views.target_rows(id).order_by(rollout_targets.c.position).limit(_MOST_CELLS)
        lanes: dict[int, list[Any]] = defaultdict(list)
        for cell in await conn.execute(cells):
            lanes[cell.wave + 1].append(cell)
        told = await timeline(conn, row)
        changes = await compare_rollout(conn, id) if it.state not in ENDED else None
    names = told_apart(cell.target for cells in lanes.values() for cell in cells)
    who: Who = request.state.who
    buttons = offered(it.state, it.kind, who.role, begun=it.begun_at is not None)
    about: dict[str, Any] = {"lanes": lanes, "names": names, "timeline": told, "changes": changes, "buttons": buttons}
    return page(request, "rollout.html", it=it, ended=it.state in ENDED, **about)


def _verb(button: Button) -> None:
    """A page that asks, and what its form does; each is only for who may."""
    verb, path = button.verb, f"/rollouts/{{id}}/{button.verb}"

    async def ask(request: Request, id: RolloutId, parts: PartsHere) -> Response:  # noqa: A002
        async with reading(request) as conn:
            it = await one(conn, id, parts.clock())
            changes = await compare_rollout(conn, id) if verb == verbs.APPROVE else None
        back = await _would_go_back(request, parts, id) if verb == Verb.ROLL_BACK else None
        about: dict[str, Any] = {"button": button, "changes": changes, "back": back, "most": LONGEST_REASON}
        return page(request, "rollout_ask.html", it=it, **about)

    async def carry_out(request: Request, id: RolloutId, change: ChangeHere, parts: PartsHere) -> Response:  # noqa: A002
        order = _order(verb, change, await fields(request))
        try:
            to = await (_roll_back if verb == Verb.ROLL_BACK else _say)(change, parts, id, order)
        except (VerbRefusedError, CreateRefusedError) as error:
            raise conflict("no-meaning-now", f"{error}.") from error
        except verbs.StaleError:
            detail = f"Rollout {id} has moved since this was asked. Nothing was done: look at it again."
            raise Problem(STALE, "stale", detail) from None
        return RedirectResponse(f"/rollouts/{to}", HTTPStatus.SEE_OTHER)

    may = [needs(button.permission)]
    router.add_api_route(path, ask, methods=["GET"], dependencies=may, name=f"ask_{verb}")
    router.add_api_route(path, carry_out, methods=["POST"], dependencies=may, name=f"do_{verb}")


for each in BUTTONS.values():
    _verb(each)


def _order(verb: str, change: Change, given: Mapping[str, str]) -> verbs.Order:
    return verbs.Order(verb, change.actor, reason_of(given), edition_of(given))


async def _say(change: Change, parts: Parts, id_: int, order: verbs.Order) -> int:
    if await verbs.carry_out(change.conn, id_, order, change.now) is None:
        raise not_found(f"rollout {id_}")
    await decided(change, parts, id_)
    return id_


async def _roll_back(change: Change, parts: Parts, id_: int, order: verbs.Order) -> int:
    back = await rollback.rollout_back(change.conn, id_, None, order, change.now)
    if back is None:
        raise not_found(f"rollout {id_}")
    for each in back.rollouts:
        await decided(change, parts, int(each.id))
    return int(back.rollouts[-1].id) if back.rollouts else id_


async def _would_go_back(request: Request, parts: Parts, id_: int) -> rollback.Back:
    """What a rollback would come to. Raises `Problem`."""
    who: Who = request.state.who
    order = verbs.Order(Verb.ROLL_BACK, who.actor)
    back, refused = await tried(parts, lambda conn: rollback.rollout_back(conn, id_, None, order, parts.clock()))
    if refused:
        raise conflict("not-to-be-made", f"{refused}.")
    if back is None:
        raise not_found(f"rollout {id_}")
    return back


async def _progress(conn: AsyncConnection, ids: list[int]) -> dict[int, dict[str, int]]:
    """By rollouts, how many of their targets are where."""
    statement = (
        select(rollout_targets.c.rollout_id, rollout_targets.c.progress, func.count().label("many"))
        .where(rollout_targets.c.rollout_id.in_(ids))
        .group_by(rollout_targets.c.rollout_id, rollout_targets.c.progress)
    )
    found: dict[int, dict[str, int]] = {id_: {} for id_ in ids}
    for row in await conn.execute(statement):
        found[row.rollout_id][row.progress] = row.many
    return {id_: {str(where): some[where] for where in Progress if where in some} for id_, some in found.items()}
