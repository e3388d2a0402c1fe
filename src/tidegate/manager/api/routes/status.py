"""How the fleet is, in numbers."""

from pydantic import BaseModel, Field
from sqlalchemy import func, select

from tidegate.domain.rollout import State
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import agents, alerts, quarantine, rollouts, targets

router = make_router("status")


class AgentCounts(BaseModel):
    """How many agents there are; those that were revoked are not counted."""

    online: int = Field(description="How many were heard lately.")
    offline: int = Field(description="How many were not.")


class Status(BaseModel):
    """The fleet in numbers."""

    agents: AgentCounts = Field(description="The agents.")
    targets: int = Field(description="How many targets there are.")
    rollouts: dict[State, int] = Field(description="How many rollouts there are, by their state.")
    approvals_waiting: int = Field(description="How many rollouts wait for approval.")
    alerts_open: int = Field(description="How many alerts are open.")
    quarantined: int = Field(description="How many digests are in quarantine.")


@router.get("/status", dependencies=[needs(Permission.READ)])
async def status(parts: PartsHere) -> Status:
    """Show how the fleet is."""
    there = is_online(heard_since(parts))
    counts = select(
        select(func.count()).select_from(agents).where(agents.c.revoked_at.is_(None)).scalar_subquery().label("agents"),
        select(func.count()).select_from(agents).where(there).scalar_subquery().label("online"),
        select(func.count()).select_from(targets).where(targets.c.gone_at.is_(None)).scalar_subquery().label("targets"),
        select(func.count()).select_from(alerts).where(alerts.c.closed_at.is_(None)).scalar_subquery().label("alerts"),
        select(func.count())
        .select_from(quarantine)
        .where(quarantine.c.released_at.is_(None))
        .scalar_subquery()
        .label("quarantined"),
    )
    async with parts.db.read() as conn:
        row = (await conn.execute(counts)).one()
        states = await conn.execute(select(rollouts.c.state, func.count()).group_by(rollouts.c.state))
        by_state = {State(state): count for state, count in states.all()}
    return Status(
        agents=AgentCounts(online=row.online, offline=row.agents - row.online),
        targets=row.targets,
        rollouts={state: by_state.get(state, 0) for state in State},
        approvals_waiting=by_state.get(State.AWAITING_APPROVAL, 0),
        alerts_open=row.alerts,
        quarantined=row.quarantined,
    )
