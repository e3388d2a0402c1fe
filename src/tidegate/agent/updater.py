"""Carries decisions out: units in the order of their dependencies, each in a transaction of its own."""

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.hooks import HookOutcome, run_hook
from tidegate.agent.metrics import Metrics, UpdateOutcome
from tidegate.agent.plan_row import Action
from tidegate.agent.prepare import Prepared, Preparer
from tidegate.agent.recovery import recover
from tidegate.agent.retention import Retention
from tidegate.agent.state import Earlier, QuarantineEntry, State
from tidegate.agent.survey import Place, Survey
from tidegate.agent.transaction import Ending, Result, Tools, Transaction
from tidegate.agent.unfinished import Unfinished
from tidegate.domain.ordering import COMPOSE_DEPENDS_ON, Node, dependants_to_restart, make_node, plan_units
from tidegate.domain.policy import Hook, Policy, PolicyDefaults, resolve_policy
from tidegate.domain.recreate_candidate import labels_of
from tidegate.domain.reference import parse_reference
from tidegate.domain.transaction import Settlement
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.registry.errors import RegistryError

_EARLIER = 5
"""How many earlier releases of a container are remembered at least, and kept from `docker image prune`."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """What one cycle came to, in containers; Watchtower's metrics count the same. `busy` ones are asked again."""

    scanned: int = 0
    updated: int = 0
    failed: int = 0
    busy: set[str] = field(default_factory=set)


class Updater:
    """The acting half of the agent."""

    def __init__(
        self,
        tools: Tools,
        preparer: Preparer,
        state: State,
        defaults: PolicyDefaults,
        *,
        metrics: Metrics,
        revive: bool = False,
    ) -> None:
        """`revive` starts what was stopped before its update."""
        self._metrics = metrics
        self._revive = revive
        self._deferred: dict[str, str | None] = {}
        self._tools = tools
        self._preparer = preparer
        self._state = state
        self._defaults = defaults
        self._retention = Retention(tools.engine, state)

    async def carry_out(self, survey: Survey, decisions: Sequence[Decision]) -> Tally:
        """Update what is due. A unit that fails does not keep the others from their turn.

        `survey` is of everything: what depends on what is due starts again though it is not due itself.
        """
        due = [one for one in decisions if one.action is Action.UPDATE]
        tally = Tally()
        if not due:
            return tally
        round_ = _Round(survey, [_node(target, places) for target, places in _by_target(survey.selected).items()])
        plan = plan_units(round_.nodes)
        for complaint in plan.complaints():
            _log.warning(complaint)
        units = [[one for target in unit.targets for one in due if one.place.target == target] for unit in plan.units]
        for number, members in enumerate(units):
            if members:
                round_.to_come = {one.place.target for later in units[number + 1 :] for one in later}
                await self._unit(members, tally, round_)
        await self._restart_dependants(round_)
        return tally

    async def _unit(self, members: list[Decision], tally: Tally, round_: "_Round") -> None:
        again = {one.place.name for one in members} & round_.moved
        if again:  # made anew with the container whose network they share, from the image they had
            tally.busy |= {one.place.name for one in members}
            return
        try:
            if not await self._hooks_allow(members, tally):
                return
            result, prepared = await self.update(members)
        except EngineUnavailableError:
            raise
        except (EngineError, RegistryError) as error:
            tally.failed += len(members)
            self._tell_failure(members, str(error))
            return
        if result.ending is Ending.COMMITTED:
            tally.updated += len(members)
            round_.updated |= {_target(one) for one in prepared}
            round_.moved |= {one.replacement.name for one in prepared}
            await self._after(prepared)
            await self._restart_dependants(round_)
        elif result.ending is not Ending.GAVE_WAY:
            tally.failed += len(members)

    async def update(self, members: Sequence[Decision]) -> tuple[Result, list[Prepared]]:
        """One transaction over these containers. Raises `EngineError` where it could not begin."""
        txid = new_id()
        prepared = await self._preparer.prepare(txid, [(one, one.place.followed) for one in members])
        began = datetime.now(UTC)
        for one in prepared:
            it = one.replacement
            _log.info("update begins", container=it.name, strategy=str(it.strategy), why=it.why, to=it.new_digest)
        transaction = Transaction(
            txid,
            self._tools,
            [one.replacement for one in prepared],
            {one.replacement.id: one.policy for one in prepared},
        )
        result = await transaction.run()
        await self.book(txid, result, prepared, began)
        return result, prepared

    async def recover(self, unfinished: Unfinished, own: str | None = None) -> Result:
        """End a transaction that was cut off, and note how. `own` is the agent's container: it may be the candidate."""

        def policy_of(labels: Any) -> Policy:
            return resolve_policy(labels, self._defaults)

        began = datetime.now(UTC)
        result = await recover(unfinished, self._tools, policy_of, own)
        prepared = [Prepared(it, policy_of(labels_of(it.request))) for it in unfinished.replacements]
        await self.book(unfinished.txid, result, prepared, began)
        return result

    async def _hooks_allow(self, members: Sequence[Decision], tally: Tally) -> bool:
        """Pre-update hooks: exit 75 says busy and asks again later, any other failure leaves all as it is."""
        for one in members:
            hook = one.place.policy.pre_update if one.place.policy else None
            if hook is None:
                continue
            container = await self._tools.engine.container(one.place.id)
            result = await run_hook(self._tools.engine, container, hook.command, hook.timeout_s)
            if result.outcome is HookOutcome.BUSY:
                tally.busy |= {each.place.name for each in members}
                self._defer(one)
                return False
            if result.outcome is HookOutcome.FAILED:
                tally.failed += 1
                _log.error("pre-update hook failed", container=one.place.name, output=result.output)
                self._note(one.place, "failed", f"its pre-update hook failed: {result.output}", one)
                return False
        return True

    def _defer(self, one: Decision) -> None:
        """Told once for each release, however often a busy container is asked."""
        if self._deferred.get(one.place.name) != one.latest_digest:
            self._deferred[one.place.name] = one.latest_digest
            _log.info("busy, asked again soon", container=one.place.name)
            self._note(one.place, "deferred", "its pre-update hook says busy (exit 75)", one)

    async def book(
        self, txid: str, result: Result, prepared: Sequence[Prepared], began: datetime | None = None
    ) -> None:
        """Note how a transaction ended: history, quarantine, what ran before. Then its journal is closed."""
        for container, reason in result.needs_serving_network.items():
            self._state.unprovable.note(container, reason)
        if result.blame:
            await self._condemn(prepared, result)
        for one in prepared:
            it = one.replacement
            if it.old_image == it.new_image:
                continue
            self._deferred.pop(it.name, None)
            if result.ends.get(it.name) is Settlement.CANDIDATE and result.ending is Ending.COMMITTED:
                await self._keep_earlier(one)
            self._history(one, result, began)
        self._state.journal.close(txid)
        seconds = (datetime.now(UTC) - began).total_seconds() if began else 0.0
        self._metrics.transaction(UpdateOutcome(result.ending.replace("-", "_")), seconds)
        level = _log.info if result.ending in {Ending.COMMITTED, Ending.GAVE_WAY} else _log.error
        containers = ", ".join(one.replacement.name for one in prepared)
        level("update ended", container=containers, how=str(result.ending), reason=result.reason)

    async def _condemn(self, prepared: Sequence[Prepared], result: Result) -> None:
        """What failed goes to quarantine; what moved with it and is innocent does not."""
        for one in _at_fault(prepared, result.culprit):
            self._quarantine(one, result.reason)
            if not one.policy.no_pull:
                await self._retention.drop(one.replacement, one.policy.keep_images)

    def _quarantine(self, one: Prepared, reason: str) -> None:
        it = one.replacement
        self._state.quarantine.add(
            QuarantineEntry(
                repository=parse_reference(it.reference).name,
                digest=it.new_digest,
                cluster=it.cluster,
                service=it.service,
                reason=reason,
                since=datetime.now(UTC).isoformat(),
                release=it.reference,
            )
        )

    async def _keep_earlier(self, one: Prepared) -> None:
        it = one.replacement
        keep = one.policy.keep_images
        earlier = Earlier(
            cluster=it.cluster,
            service=it.service,
            number=it.number,
            reference=it.reference,
            digest=it.old_digest or it.old_image,
            image_id=it.old_image,
            saved_at=datetime.now(UTC).isoformat(),
            request=it.saved,
            endpoints=it.saved_endpoints,
        )
        before = {one.image_id for one in self._state.previous.list()}
        self._state.previous.add(earlier, keep=max(keep or 0, _EARLIER))
        await self._retention.apply(it, keep)
        await self._retention.forget(before - {one.image_id for one in self._state.previous.list()})

    def _history(self, one: Prepared, result: Result, began: datetime | None) -> None:
        it, now = one.replacement, datetime.now(UTC)
        began = began or now
        self._state.history.append(
            {
                "time": now.isoformat(),
                "transaction": it.id.rpartition(".")[0],
                "cluster": it.cluster,
                "service": it.service,
                "container": it.name,
                "image": it.reference,
                "from": it.old_digest,
                "to": it.new_digest,
                "strategy": it.strategy,
                "outcome": result.ending,
                "reason": result.reason,
                "duration_s": round((now - began).total_seconds(), 2),
            }
        )

    def _note(self, place: Place, outcome: str, reason: str, decision: Decision) -> None:
        self._state.history.append(
            {
                "time": datetime.now(UTC).isoformat(),
                "cluster": place.cluster,
                "service": place.service,
                "container": place.name,
                "image": place.followed,
                "from": decision.running_digest,
                "to": decision.latest_digest,
                "outcome": outcome,
                "reason": reason,
            }
        )

    def _tell_failure(self, members: Iterable[Decision], reason: str) -> None:
        for one in members:
            _log.error("update could not begin", container=one.place.name, reason=reason)
            self._note(one.place, "failed", reason, one)

    async def _after(self, prepared: Sequence[Prepared]) -> None:
        """Stopped containers are revived where that is asked for; post-update hooks run in the new containers."""
        for one in prepared:
            it = one.replacement
            if self._revive and not it.was_running and it.candidate is not None:
                await self._start(it.candidate, it.name)
            if one.policy.post_update is not None and it.candidate is not None:
                with contextlib.suppress(NotFoundError):  # a person may have removed it in its bake
                    await self._post_update(it.candidate, one.policy.post_update)

    async def _post_update(self, candidate: str, hook: Hook) -> None:
        container = await self._tools.engine.container(candidate)
        result = await run_hook(self._tools.engine, container, hook.command, hook.timeout_s)
        level = _log.error if result.outcome is HookOutcome.FAILED else _log.info
        level("post-update hook", container=container.name, outcome=str(result.outcome), output=result.output)

    async def _restart_dependants(self, round_: "_Round") -> None:
        """What depends on something updated starts again, unless its own update is still to come."""
        for target in dependants_to_restart(round_.nodes, round_.updated):
            if target in round_.to_come or target in round_.restarted:
                continue
            round_.restarted.add(target)
            for place in round_.survey.selected:
                if place.target == target and place.state == "running":
                    await self._restart(place)

    async def _restart(self, place: Place) -> None:
        _log.info("restarting, because what it depends on was updated", container=place.name)
        policy = place.policy
        limit_s = policy.stop_timeout_s if policy else None
        try:
            await self._tools.engine.stop(
                place.id,
                signal=policy.stop_signal if policy else None,
                timeout_s=None if limit_s is None else int(limit_s),
            )
        except EngineUnavailableError:
            raise
        except EngineError as error:
            _log.error("could not be restarted", container=place.name, reason=str(error))
            return
        await self._start(place.id, place.name)

    async def _start(self, container: str, name: str) -> None:
        try:
            await self._tools.engine.start(container)
        except EngineUnavailableError:
            raise
        except EngineError as error:
            _log.error("could not be started", container=name, reason=str(error))


@dataclass(slots=True)
class _Round:
    """One look's acting: targets that `to_come` have their turn later; `moved` are names of new containers."""

    survey: Survey
    nodes: list[Node]
    to_come: set[str] = field(default_factory=set)
    updated: set[str] = field(default_factory=set)
    restarted: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)


def new_id() -> str:
    """A transaction's id: when it began and a little chance, sortable by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _at_fault(prepared: Sequence[Prepared], culprit: str) -> list[Prepared]:
    """Whose release failed: the culprit's, or that of the container whose network it shares; all, if unknown."""
    names = [one.replacement.name for one in prepared]
    changed = [one for one in prepared if one.replacement.old_image != one.replacement.new_image]
    if culprit not in names:
        return changed
    upto = prepared[: names.index(culprit) + 1]
    return [one for one in changed if one in upto][-1:]


def _target(one: Prepared) -> str:
    it = one.replacement
    return f"{it.cluster}/{it.service}" if it.cluster else it.service


def _by_target(places: Iterable[Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.target, []).append(place)
    return found


def _node(target: str, places: Sequence[Place]) -> Node:
    policy, labels = places[0].policy, places[0].labels
    return make_node(
        target,
        cluster=places[0].cluster,
        names=[places[0].service, *(name for place in places for name in (place.name, place.id))],
        depends_on=policy.depends_on if policy else None,
        links=places[0].links,
        network_mode=places[0].network_mode,
        compose_depends_on=labels.get(COMPOSE_DEPENDS_ON, ""),
        group=policy.group if policy else None,
    )
