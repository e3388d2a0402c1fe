"""The functions behind the command line."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from tidegate.agent.command_rows import CommandOutcome, HistoryRow, StatusRow, UpdaterRow
from tidegate.agent.control import ask
from tidegate.agent.decide import Decision
from tidegate.agent.detect import running_digest
from tidegate.agent.loop import Agent, run_until_told
from tidegate.agent.parts import Parts, assemble
from tidegate.agent.plan_row import Action, PlanRow
from tidegate.agent.prepare import Around
from tidegate.agent.pull_reporter import PullReporter
from tidegate.agent.settings import Settings
from tidegate.agent.state import QuarantineEntry, State, StateError, named
from tidegate.agent.successor import claim
from tidegate.agent.survey import Place, Survey
from tidegate.domain.course import StepTook
from tidegate.engine.errors import EngineError, NotFoundError

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def _parts(settings: Settings, pulls: PullReporter | None = None) -> AsyncIterator[Parts]:
    parts = await assemble(settings, pulls)
    try:
        yield parts
    finally:
        await parts.close()


async def run(settings: Settings, *, pulls: PullReporter | None) -> int:
    """Look after the containers until told to stop, or once; the exit code."""
    async with _parts(settings, pulls) as parts:
        try:
            parts.state.check_writable()
        except StateError:
            await _end_what_was_begun(parts)
            raise
        await claim(parts.state, parts.own)
        agent = Agent(parts)
        if not settings.no_startup_message:
            version = await parts.engine.version()
            _log.info("agent started", engine=version.engine, api=version.api_used, schedule=str(settings.schedule))
        if settings.run_once:
            return 0 if await run_until_told(agent.once()) else 1
        await run_until_told(agent.run())
        return 0


async def _end_what_was_begun(parts: Parts) -> None:
    """Where nothing new can be written, what was cut off is ended all the same: a service may be down."""
    if parts.state.journal.peek():
        await claim(parts.state, parts.own)
        parts.hub.start()
        await run_until_told(Agent(parts).recover())


async def plan(settings: Settings) -> list[PlanRow]:
    """Every container of the engine, selected or not; touches nothing."""
    async with _parts(settings) as parts:
        survey = await parts.surveyor().survey()
        decisions = await parts.decider(remember=False).decide(survey, datetime.now(UTC), patient=False)
        around = await parts.preparer.around()
        return [await _plan_row(parts, one, around) for one in decisions]


async def _plan_row(parts: Parts, one: Decision, around: Around) -> PlanRow:
    place, strategy, why = one.place, None, None
    lost: tuple[str, ...] = ()
    if place.selection.selected:
        try:
            choice = await parts.preparer.choose(place, around)
            strategy, why = str(choice.strategy), choice.reason
            lost = await parts.preparer.lost(place)
        except EngineError as error:
            why = str(error)
    compose = bool(place.cluster)
    return PlanRow(
        container=place.name,
        cluster=place.cluster if compose else None,
        service=place.service if compose else None,
        image=place.followed,
        selected=place.selection.selected,
        reason=one.reason,
        running_digest=one.running_digest,
        latest_digest=one.latest_digest,
        action=one.action,
        strategy=strategy,
        strategy_reason=why,
        lost=lost,
    )


async def status(settings: Settings) -> list[StatusRow]:
    """The selected containers, with what happened to them last."""
    async with _parts(settings) as parts:
        survey = await parts.surveyor().survey()
        moving, updater = _moving(parts.state), await _updater(parts)
        rows = [await _status_row(parts, survey, place, moving.get(place.name)) for place in survey.selected]
        return [replace(row, updater=updater) for row in rows if row is not None]


async def _updater(parts: Parts) -> UpdaterRow | None:
    if parts.watchtower is None:
        return None
    counts, trouble = await parts.watchtower.watch.seen()
    if counts is None:
        return UpdaterRow(None, None, None, None, trouble)
    return UpdaterRow(counts.scanned, counts.updated, counts.failed, counts.scans, trouble)


async def _status_row(parts: Parts, survey: Survey, place: Place, moving: str | None) -> StatusRow | None:
    """None for a container that vanished since the look."""
    try:
        container = await parts.engine.container(place.id)
    except NotFoundError:
        return None
    last = parts.state.history.tail(1, cluster=place.cluster, service=place.service)
    held = parts.state.quarantine.list()
    return StatusRow(
        container=place.name,
        cluster=place.cluster or None,
        service=place.service if place.cluster else None,
        image=place.followed,
        state=container.status,
        health=container.health.value,
        running_digest=running_digest(survey.images.get(place.image_id), place.followed),
        last_outcome=last[0].get("outcome") if last else None,
        last_at=last[0].get("time") if last else None,
        quarantined=tuple(
            entry.digest for entry in held if (entry.cluster, entry.service) == (place.cluster, place.service)
        ),
        transaction=moving,
        decided_by="manager" if parts.settings.managed else "agent",
    )


def _moving(state: State) -> dict[str, str]:
    """The step of each container that is being updated now."""
    found: dict[str, str] = {}
    for journal in state.journal.peek():
        names = {each["id"]: str(each["name"]) for each in journal.records[0].get("replacements", ())}
        for record in journal.records:
            if record.get("kind") == "step" and record["id"] in names:
                found[names[record["id"]]] = str(record["doing"])
    return found


async def rollback(
    settings: Settings, cluster: str, service: str, *, to: str | None, pulls: PullReporter | None
) -> CommandOutcome:
    """Put back the release before, or the one with digest `to`: by the running agent, else by ourselves."""
    request = {"verb": "rollback", "cluster": cluster, "service": service, "to": to}
    outcome = await ask(settings.state, request)
    if outcome is not None:
        return outcome
    async with _parts(settings, pulls) as parts:
        parts.state.check_writable()
        await parts.state.lock.acquire(timeout_s=5)
        parts.hub.start()
        outcome = await run_until_told(Agent(parts).roll_back(request))
        return outcome or CommandOutcome(
            ok=False, message="told to stop before it was done; the next agent or command ends what was begun"
        )


async def quarantine_list(settings: Settings) -> list[QuarantineEntry]:
    """The digests that are not tried again, the oldest first."""
    return State.at(settings.state).quarantine.list()


async def quarantine_release(settings: Settings, what: str) -> list[QuarantineEntry]:
    """Let go of what `what` names; what was let go."""
    return State.at(settings.state).quarantine.release(named(what))


async def history(settings: Settings, *, limit: int) -> list[HistoryRow]:
    """The last transactions, the newest last."""
    records = State.at(settings.state).history.tail(limit if not settings.names else 10_000)
    rows = [_history_row(record) for record in records]
    wanted: Callable[[HistoryRow], bool] = lambda row: (  # noqa: E731 - one expression, used once
        not settings.names or f"{row.cluster}/{row.service}" in settings.names or row.container in settings.names
    )
    return [row for row in rows if wanted(row)][-limit:]


def _history_row(record: dict[str, Any]) -> HistoryRow:
    return HistoryRow(
        at=str(record.get("time", "")),
        cluster=record.get("cluster") or None,
        service=record.get("service") or None,
        container=str(record.get("container", "")),
        image=str(record.get("image", "")),
        from_digest=record.get("from") or None,
        to_digest=record.get("to") or None,
        strategy=record.get("strategy"),
        outcome=str(record.get("outcome", "")),
        seconds=float(record.get("duration_s") or 0),
        detail=str(record.get("reason", "")),
        output=str(record.get("output", "")),
        steps=tuple(
            StepTook(str(one["step"]), float(one["took_s"]), back=bool(one["back"])) for one in record.get("steps", ())
        ),
    )


__all__ = ["Action", "history", "plan", "quarantine_list", "quarantine_release", "rollback", "run", "status"]
