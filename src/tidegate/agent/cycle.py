"""One look at everything that is ours: survey, detect, decide, act."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.hooks import run_hook
from tidegate.agent.outcome import Ending
from tidegate.agent.parts import Parts
from tidegate.agent.plan_row import Action
from tidegate.agent.survey import Place, Survey
from tidegate.agent.tally import Tally, held
from tidegate.agent.unended import Unended
from tidegate.domain.policy import Hook
from tidegate.domain.policy_reader import label_warnings
from tidegate.domain.selection import image_matches
from tidegate.domain.windows import Gate
from tidegate.engine.errors import EngineError, EngineUnavailableError

Tie = tuple[str, str | tuple[str, str] | None]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a cycle came to."""

    tally: Tally
    decisions: tuple[Decision, ...]

    @property
    def names(self) -> frozenset[str]:
        """The containers of ours that were looked at."""
        return frozenset(one.place.name for one in self.decisions if one.place.selection.selected)

    def waiting(self, busy_until: datetime) -> dict[str, datetime]:
        """Containers that could not be moved to their newest release yet, and when to look at them again."""
        later = {one.place.name: one.until for one in self.decisions if one.until is not None}
        return later | self.tally.held | dict.fromkeys(self.tally.busy, busy_until)


class Cycle:
    """Runs cycles; remembers what it has complained about, so that the log says each thing once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._surveyor = parts.surveyor()
        self._decider = parts.decider(remember=True)
        self._told: dict[str, str] = {}

    async def run(
        self, *, images: tuple[str, ...] = (), only: frozenset[str] | None = None, unended: Unended | None = None
    ) -> Looked:
        """Look, and act. `images` or `only` (container names) narrow it down; what is `unended` is left alone.

        Raises `EngineUnavailableError`.
        """
        whole = await self._surveyor.survey()
        if images:
            only = frozenset(place.name for place in whole.selected if image_matches(place.followed, images))
        survey = _narrow(whole, only)
        await self._hooks(survey.selected, "pre_check")
        decisions = await self._decider.decide(survey, self._parts.clock(), patient=not images)
        decisions = unended.left_out(decisions) if unended else decisions
        self._tell(decisions)
        if self._parts.link is not None:
            self._parts.link.seen(decisions)
        there = {place.name for place in whole.places}
        self._told = {name: said for name, said in self._told.items() if name in there}
        tally = await self._act(whole, decisions)
        await self._hooks(await self._as_they_are(survey), "post_check")
        await self._parts.updater.forget_gone(whole, self._parts.clock())
        return Looked(tally, tuple(decisions))

    async def _as_they_are(self, before: Survey) -> tuple[Place, ...]:
        """The same containers after the look: those that were replaced have other ids now."""
        if not any(place.policy and place.policy.post_check for place in before.selected):
            return ()
        names = {place.name for place in before.selected}
        return tuple(place for place in (await self._surveyor.survey()).selected if place.name in names)

    async def _act(self, survey: Survey, decisions: list[Decision]) -> Tally:
        """Others first, the agent itself last: its own update ends this process."""
        own = [one for one in decisions if one.place.id == self._parts.own]
        others = [one for one in decisions if one.place.id != self._parts.own]
        tally = await self._parts.updater.carry_out(survey, others, self._closed)
        tally.scanned = sum(one.place.selection.selected for one in decisions)
        tally.failed += sum(one.trouble for one in decisions if one.place.selection.selected)
        for one in own:
            if one.action is Action.UPDATE and self._parts.settings.run_once:
                _log.info("an agent that looks once does not update itself", container=one.place.name)
            elif one.action is Action.UPDATE and not held([one], tally, self._closed):
                ending = await self._parts.successor.hand_over(one)
                tally.updated += ending is Ending.COMMITTED
                tally.failed += ending not in {Ending.COMMITTED, Ending.GAVE_WAY}
        return tally

    def _closed(self, decision: Decision) -> Gate | None:
        return self._decider.closed(decision, self._parts.clock())

    async def _hooks(self, places: Iterable[Place], which: str) -> None:
        """Check hooks run around every look; what they say changes nothing, as with Watchtower."""
        for place in places:
            hook: Hook | None = getattr(place.policy, which) if place.policy else None
            if hook is None or place.state != "running":
                continue
            try:
                container = await self._parts.engine.container(place.id)
                result = await run_hook(self._parts.engine, container, hook.command, hook.timeout_s)
                _log.info("check hook", which=which, container=place.name, outcome=str(result.outcome))
            except EngineUnavailableError:
                raise
            except EngineError as error:
                _log.warning("check hook could not be run", container=place.name, reason=str(error))

    def _tell(self, decisions: Iterable[Decision]) -> None:
        """Log what changed since the last look."""
        now = {one.place.name: f"{one.action}: {one.reason}" for one in decisions}
        for one in decisions:
            if one.place.name not in self._told:
                for warning in label_warnings(one.place.labels):
                    _log.warning("a label is not known", container=one.place.name, reason=warning)
        for one in decisions:
            said = now[one.place.name]
            if self._told.get(one.place.name) == said:
                continue
            worth = one.action is not Action.NONE or one.trouble
            warn = one.trouble and not (one.unreached and self._parts.settings.warn_on_head_failure == "never")
            level = _log.warning if warn else _log.info if worth else _log.debug
            level("plan", container=one.place.name, action=str(one.action), reason=one.reason)
        self._told.update(now)


def _narrow(survey: Survey, only: frozenset[str] | None) -> Survey:
    """Only these, and who has to move with them."""
    if only is None:
        return survey
    found = {place.name for place in survey.places if place.name in only}
    ties: set[Tie] = set()
    while more := {tie for place in survey.places if place.name in found for tie in _ties(place)} - ties:
        ties |= more
        found |= {place.name for place in survey.places if not ties.isdisjoint(_ties(place))}
    return Survey(tuple(place for place in survey.places if place.name in found), survey.images)


def _ties(place: Place) -> set[Tie]:
    """What it has in common with those that move together with it."""
    return {("target", place.target), ("group", place.group), ("tag", place.tag)} - {("group", None), ("tag", None)}
