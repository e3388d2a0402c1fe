"""Carries decisions out: units in the order of their dependencies, each in a transaction of its own."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.hooks import HookOutcome, run_hook
from tidegate.agent.plan_row import Action
from tidegate.agent.prepare import Prepared, Preparer
from tidegate.agent.recovery import recover
from tidegate.agent.retention import Retention
from tidegate.agent.state import Earlier, QuarantineEntry, State
from tidegate.agent.survey import Place, Survey
from tidegate.agent.transaction import Ending, Result, Tools, Transaction
from tidegate.agent.unfinished import Unfinished
from tidegate.domain.ordering import COMPOSE_DEPENDS_ON, Node, dependants_to_restart, make_node, plan_units
from tidegate.domain.policy import Policy, PolicyDefaults, resolve_policy
from tidegate.domain.recreate_candidate import labels_of
from tidegate.domain.reference import parse_reference
from tidegate.domain.transaction import Settlement
from tidegate.engine.errors import EngineError, EngineUnavailableError
from tidegate.registry.errors import RegistryError

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
    ) -> None:
        self._tools = tools
        self._preparer = preparer
        self._state = state
        self._defaults = defaults
        self._retention = Retention(tools.engine, state)

    async def carry_out(self, survey: Survey, decisions: Sequence[Decision]) -> Tally:
        """Update what is due. A unit that fails does not keep the others from their turn."""
        due = {one.place.id: one for one in decisions if one.action is Action.UPDATE}
        tally = Tally(scanned=len(survey.selected))
        nodes = [_node(target, places) for target, places in _by_target(survey.selected).items()]
        plan = plan_units([node for node in nodes if any(one.place.target == node.name for one in due.values())])
        for complaint in plan.complaints():
            _log.warning(complaint)
        for unit in plan.units:
            members = [one for target in unit.targets for one in due.values() if one.place.target == target]
            await self._unit(members, tally, survey, nodes)
        return tally

    async def _unit(self, members: list[Decision], tally: Tally, survey: Survey, nodes: Sequence[Node]) -> None:
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
            await self._after(prepared, survey, nodes)
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

    async def _hooks_allow(self, members: Iterable[Decision], tally: Tally) -> bool:
        """Pre-update hooks: exit 75 says busy and asks again later, any other failure leaves all as it is."""
        for one in members:
            hook = one.place.policy.pre_update if one.place.policy else None
            if hook is None:
                continue
            container = await self._tools.engine.container(one.place.id)
            result = await run_hook(self._tools.engine, container, hook.command, hook.timeout_s)
            if result.outcome is HookOutcome.BUSY:
                tally.busy.add(one.place.name)
                _log.info("busy, asked again at the next poll", container=one.place.name)
                self._note(one.place, "deferred", "its pre-update hook says busy (exit 75)", one)
                return False
            if result.outcome is HookOutcome.FAILED:
                tally.failed += 1
                _log.error("pre-update hook failed", container=one.place.name, output=result.output)
                self._note(one.place, "failed", f"its pre-update hook failed: {result.output}", one)
                return False
        return True

    async def book(
        self, txid: str, result: Result, prepared: Sequence[Prepared], began: datetime | None = None
    ) -> None:
        """Note how a transaction ended: history, quarantine, what ran before. Then its journal is closed."""
        for container, reason in result.needs_serving_network.items():
            self._state.unprovable.note(container, reason)
        for one in prepared:
            it = one.replacement
            if it.old_image == it.new_image:
                continue
            if result.blame:
                self._quarantine(one, result.reason)
            if result.ends.get(it.name) is Settlement.CANDIDATE and result.ending is Ending.COMMITTED:
                await self._keep_earlier(one)
            self._history(one, result, began)
        self._state.journal.close(txid)
        level = _log.info if result.ending in {Ending.COMMITTED, Ending.GAVE_WAY} else _log.error
        level("update ended", how=str(result.ending), reason=result.reason)

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
            digest=it.old_digest,
            image_id=it.old_image,
            saved_at=datetime.now(UTC).isoformat(),
            request=it.saved,
            endpoints=it.saved_endpoints,
        )
        self._state.previous.add(earlier, keep=max(keep or 0, 5))
        await self._retention.apply(it, keep)

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

    async def _after(self, prepared: Sequence[Prepared], survey: Survey, nodes: Sequence[Node]) -> None:
        """Post-update hooks run in the new containers; what is linked to them starts again."""
        for one in prepared:
            if one.policy.post_update is not None and one.replacement.candidate is not None:
                container = await self._tools.engine.container(one.replacement.candidate)
                hook = one.policy.post_update
                result = await run_hook(self._tools.engine, container, hook.command, hook.timeout_s)
                _log.info("post-update hook", container=container.name, outcome=str(result.outcome))
        updated = {_target(one) for one in prepared}
        for target in dependants_to_restart(nodes, updated):
            for place in survey.selected:
                if place.target == target and place.state == "running":
                    await self._restart(place)

    async def _restart(self, place: Place) -> None:
        _log.info("restarting, because what it depends on was updated", container=place.name)
        try:
            await self._tools.engine.stop(place.id, signal=None, timeout_s=None)
            await self._tools.engine.start(place.id)
        except EngineError as error:
            _log.error("could not be restarted", container=place.name, reason=str(error))


def new_id() -> str:
    """A transaction's id: when it began and a little chance, sortable by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


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
        compose_depends_on=labels.get(COMPOSE_DEPENDS_ON, ""),
        group=policy.group if policy else None,
    )
