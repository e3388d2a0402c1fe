"""Carries assignments out, one transaction after another; what moves together goes in one."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.detect import digests_of
from tidegate.agent.hooks import HookOutcome
from tidegate.agent.link.desk import Desk
from tidegate.agent.link.entry import Entry, Stage
from tidegate.agent.outcome import Ending, NotEndedError
from tidegate.agent.parts import Parts
from tidegate.agent.plan_row import Action
from tidegate.agent.round import Round
from tidegate.agent.signatures import UnverifiedError
from tidegate.agent.survey import Place, Survey
from tidegate.agent.unended import UNENDED, Unended
from tidegate.domain.assignment import Assignment
from tidegate.domain.ordering import plan_units
from tidegate.domain.reference import InvalidReferenceError, Reference, parse_reference
from tidegate.domain.rollout_apply import Outcome
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError, PullLimitedError
from tidegate.registry.errors import RegistryError

WHY = "assigned by the manager"
_RUNS = "it runs this release already"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    """One assignment and the containers of its target that do not run its release."""

    entry: Entry
    decisions: tuple[Decision, ...]


class Carrying:
    """Carries out what waits at the desk. Nothing else may act meanwhile."""

    def __init__(
        self, parts: Parts, desk: Desk, retry: timedelta, tell_inventory: Callable[[], Awaitable[bool]]
    ) -> None:
        """After `retry` what could not begin is tried again, and a busy target asked again.

        `tell_inventory` has the manager told what there is, if that is news; it gives whether that could be done. Where
        a target is not what the manager takes it for, it has to know that before it hears of a refusal: else that would
        count against the release.
        """
        self._parts = parts
        self._desk = desk
        self._retry = retry
        self._tell_inventory = tell_inventory
        self._followed: dict[str, str] = {}
        self._not_before: dict[str, datetime] = {}

    def next_due(self) -> datetime | None:
        """When an assignment has its turn; in the past: now. None: there is none."""
        now = self._parts.clock()
        return min((self._not_before.get(one.it.id, now) for one in self._open()), default=None)

    async def carry_out(self, unended: Unended) -> None:
        """Everything that is due. What is `unended` is left alone. Raises `EngineError`, `StateError`."""
        self._desk.reopen(set(self._under_way()))
        while due := self._due():
            survey = await self._parts.surveyor().survey()
            foreign = [one for one in due if self._foreign(one.it, _places(survey, one.it.target))]
            if foreign and not await self._tell_inventory():
                self._later(foreign)
                continue
            jobs = [job for one in due if (job := self._job(one, survey, unended)) is not None]
            if jobs:
                await self._first_of(jobs, survey)
        self._later(self._desk.entries(Stage.BEGUN))  # their journals are open yet, and only a recovery ends those

    def put_off(self) -> None:
        """Whatever is open has its turn after `retry`: what went wrong now would go wrong again at once."""
        self._later(self._open())

    def _open(self) -> list[Entry]:
        return [*self._desk.entries(Stage.WAITING), *self._desk.entries(Stage.BEGUN)]

    def _under_way(self) -> Iterator[str]:
        for journal in self._parts.state.journal.peek():
            yield from map(str, journal.records[0].get("assignments") or ())

    def _due(self) -> list[Entry]:
        now = self._parts.clock()
        waiting = self._desk.entries(Stage.WAITING)
        due = [one for one in waiting if self._not_before.get(one.it.id, now) <= now]
        known = {one.it.id for one in self._open()}
        self._not_before = {id_: at for id_, at in self._not_before.items() if id_ in known}
        self._followed = {id_: what for id_, what in self._followed.items() if id_ in known}
        return due

    def _later(self, entries: Sequence[Entry]) -> None:
        again = self._parts.clock() + self._retry
        self._not_before |= {one.it.id: again for one in entries}

    def _job(self, entry: Entry, survey: Survey, unended: Unended) -> _Job | None:
        """What is to be moved; None where that is nothing, and then the manager has been told why."""
        it = entry.it
        places = _places(survey, it.target)
        late = self._desk.objection(it, {it.target: it.repository}) or _not_allowed(places)
        late = late or self._has_left(it, places)
        if late is not None:  # it was let in when it was told, so nobody has to be alarmed
            self._desk.end([entry], Outcome.REFUSED, late)
            return None
        why = self._desk.objection(it, _followed(places))
        if why is not None:
            self._desk.refuse(entry, why)
            return None
        if self._desk.is_over(it):
            self._later([entry])
            return None
        if any(unended.holds(place) for place in survey.places if place.target == it.target):
            self._wait([entry], UNENDED)
            return None
        decisions = tuple(
            self._decision(entry, place, survey) for place in places if not _runs(survey, place, it.digest)
        )
        if not decisions:
            self._desk.end([entry], Outcome.HEALTHY, _RUNS)
            return None
        return _Job(entry, decisions)

    def _foreign(self, it: Assignment, places: Sequence[Place]) -> str | None:
        """Why an assignment is not for what is here; None if it is."""
        return self._has_left(it, places) or self._desk.objection(it, _followed(places))

    def _has_left(self, it: Assignment, places: Sequence[Place]) -> str | None:
        """Why an assignment is not for its target any more: somebody has had that follow something else.

        Since it came, or before: then its manager had not heard of it. What is of another repository is `refusal`'s.
        """
        followed = _reference(places)
        if followed is None:
            return None
        now = followed.familiar if followed.pinned else f"{followed.name}:{followed.version}"
        before = self._followed.setdefault(it.id, now)
        if now != before:
            return f"{it.target} follows {now} now, and followed {before} when it was assigned"
        known = f"{it.repository}:{it.tag}"
        if it.tag and it.repository == followed.name and now != known:
            return f"{it.target} follows {now} now, and followed {known} as the manager knew it"
        return None

    def _wait(self, entries: Sequence[Entry], reason: str) -> None:
        self._later(entries)
        self._desk.busy(entries, reason)

    def _decision(self, entry: Entry, place: Place, survey: Survey) -> Decision:
        it = entry.it
        policy = place.policy
        if policy is not None and it.health_timeout_s is not None:
            timed = replace(policy, health_timeout_s=it.health_timeout_s)
            place = replace(place, selection=replace(place.selection, policy=timed))
        image = self._image(place, it.digest)
        running = _digests(survey, place)[0]
        return Decision(place, Action.UPDATE, WHY, running, it.digest, image, ran_here=image is not None)

    def _image(self, place: Place, digest: str) -> str | None:
        """The image id of a release that has run here, where it is remembered."""
        earlier = self._parts.state.previous.of(place.cluster, place.service)
        return next((one.image_id for one in earlier if one.digest == digest), None)

    async def _first_of(self, jobs: Sequence[_Job], survey: Survey) -> None:
        """Carry out what comes first in the order of dependencies, and all that moves with it."""
        targets = {job.entry.it.target for job in jobs}
        round_ = Round.of(survey, targets)
        units = [set(unit.targets) & targets for unit in plan_units(round_.nodes).units]
        first = next(unit for unit in units if unit)
        round_.to_come = targets - first
        unit = [job for job in jobs if job.entry.it.target in first]
        self._later([job.entry for job in unit])
        await self._unit(unit, round_)

    async def _unit(self, jobs: Sequence[_Job], round_: Round) -> None:
        entries = [job.entry for job in jobs]
        decisions = [one for job in jobs for one in job.decisions]
        try:
            await self._parts.preparer.admit([(one, one.place.followed) for one in decisions])
            busy = await self._not_now(jobs)
            if busy is not None:
                self._desk.busy(entries, busy)
                return
            await self._begin(jobs, round_)
        except EngineUnavailableError:
            raise
        except NotEndedError as error:
            _log.error("an assignment could not be ended; it is tried again soon", reason=str(error))
        except PullLimitedError as error:
            self._fail_or_wait(jobs, str(error))
        except UnverifiedError as error:
            self._parts.updater.tell_unverified(decisions, str(error))
            for entry in entries:
                self._desk.refuse(entry, str(error))
        except (EngineError, RegistryError, _HookFailedError) as error:
            self._fail(jobs, str(error))

    def _fail_or_wait(self, jobs: Sequence[_Job], reason: str) -> None:
        """A registry that wants to be left alone is asked again, unless the manager was told already that it begins."""
        begun = {one.it.id for one in self._desk.entries(Stage.BEGUN)}
        if any(job.entry.it.id in begun for job in jobs):
            self._fail(jobs, reason)
        else:
            self._desk.busy([job.entry for job in jobs], reason)

    def _fail(self, jobs: Sequence[_Job], reason: str) -> None:
        """It could not begin, and nothing was touched."""
        self._parts.updater.tell_failure([one for job in jobs for one in job.decisions], reason)
        ids = {job.entry.it.id for job in jobs}
        self._desk.end([one for one in self._open() if one.it.id in ids], Outcome.FAILED, reason)

    async def _not_now(self, jobs: Sequence[_Job]) -> str | None:
        """Why these wait: a window or a freeze of the agent's own, or a hook that says busy. Raises `_HookFailedError`.

        The way back asks neither; what is forced asks the hook, and goes on though it is busy.
        """
        asked = [job for job in jobs if not job.entry.it.back]
        patient = [job for job in asked if not job.entry.it.forced]
        decider = self._parts.decider(remember=True)
        for job in patient:
            for one in job.decisions:
                gate = decider.closed(one, self._parts.clock())
                if gate is not None:
                    return gate.reason
        for job in asked:
            outcome = await self._parts.updater.ask_hooks(job.decisions)
            if outcome is HookOutcome.FAILED:
                raise _HookFailedError(f"the pre-update hook of {job.entry.it.target} failed")
            if outcome is HookOutcome.BUSY and not job.entry.it.forced:
                return "its pre-update hook says busy (exit 75)"
        return None

    async def _begin(self, jobs: Sequence[_Job], round_: Round) -> None:
        self._desk.begin([job.entry for job in jobs])
        moving = [one for job in jobs for one in job.decisions]
        moving = [one for decision in moving if (one := await self._pulled(decision)) is not None]
        ids = [job.entry.it.id for job in jobs]
        if not moving:
            self._desk.end([one for one in self._desk.entries(Stage.BEGUN) if one.it.id in ids], Outcome.HEALTHY, _RUNS)
            return
        self._let_go(moving)
        if any(one.place.id == self._parts.own for one in moving):
            await self._succeed(moving, ids)
            return
        await self._move(moving, round_, ids)

    async def _move(self, moving: Sequence[Decision], round_: Round, ids: Sequence[str]) -> None:
        if self._parts.watchtower is None:
            await self._parts.updater.update(moving, round_, assignments=ids)
            return
        way = await self._parts.watchtower.engine.way(moving, round_.survey)
        _log.info("moved by", targets=sorted({one.place.target for one in moving}), why=way.why)
        await self._parts.updater.update(way.moving, round_, assignments=ids, walk=way.walk)

    async def _pulled(self, decision: Decision) -> Decision | None:
        """With its image on the engine; None where that is what runs already, by another digest."""
        place = decision.place
        if place.policy is not None and place.policy.no_pull:
            decision = replace(decision, new_image=await self._on_engine(decision))
        image = await self._parts.preparer.pull(decision, place.followed)
        return None if image == place.image_id else decision

    async def _on_engine(self, decision: Decision) -> str:
        place = decision.place
        wanted = parse_reference(place.followed).with_digest(decision.latest_digest or "").familiar
        try:
            return (await self._parts.engine.image(wanted)).id
        except NotFoundError as error:
            raise NotFoundError(f"no-pull is set and the engine has no image {wanted}; pull it by hand") from error

    def _let_go(self, moving: Sequence[Decision]) -> None:
        """The manager says that it is to run, so it is not held back here; if it fails again it is again."""
        wanted = {(one.place.cluster, one.place.service, one.latest_digest) for one in moving}
        quarantine = self._parts.state.quarantine
        if any((one.cluster, one.service, one.digest) in wanted for one in quarantine.list()):
            quarantine.release(lambda one: (one.cluster, one.service, one.digest) in wanted)

    async def _succeed(self, moving: Sequence[Decision], ids: Sequence[str]) -> None:
        """The agent's own release: it returns only where its successor did not take over."""
        if len(moving) > 1:
            raise EngineError("the agent's own container moves alone; take it out of the group, or off the shared tag")
        ending = await self._parts.successor.hand_over(moving[0], ids)
        left = [one for one in self._desk.entries(Stage.BEGUN) if one.it.id in ids]
        if left:  # it could not be prepared, so there is no transaction that would have told
            outcome = Outcome.HEALTHY if ending is Ending.COMMITTED else Outcome.FAILED
            self._desk.end(left, outcome, "the agent's successor could not be started; see `agent history`")


class _HookFailedError(Exception):
    """A pre-update hook failed; nothing was touched."""


def _places(survey: Survey, target: str) -> list[Place]:
    return [place for place in survey.selected if place.cluster and place.target == target]


def _followed(places: Sequence[Place]) -> dict[str, str]:
    """The repository that a target follows; nothing where its image has no name."""
    with contextlib.suppress(InvalidReferenceError):
        return {place.target: parse_reference(place.followed).name for place in places}
    return {}


def _reference(places: Sequence[Place]) -> Reference | None:
    """What a target follows; None where it is not there, or its image has no name."""
    with contextlib.suppress(InvalidReferenceError):
        return next((parse_reference(place.followed) for place in places), None)
    return None


def _not_allowed(places: Sequence[Place]) -> str | None:
    for place in places:
        if place.policy is not None and place.policy.monitor_only:
            return f"{place.target} is monitored only"
    return None


def _digests(survey: Survey, place: Place) -> list[str]:
    """By which digests a container's image is known, else its id; never empty."""
    image = survey.images.get(place.image_id)
    return (digests_of(image, place.followed) if image else []) or [place.image_id]


def _runs(survey: Survey, place: Place, digest: str) -> bool:
    return digest in _digests(survey, place)
