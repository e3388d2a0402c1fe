"""Notes how updates ended: the history, the quarantine, what ran before, and the images that are kept."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.hold import Hold
from tidegate.agent.metrics import Metrics, UpdateOutcome
from tidegate.agent.outcome import Ending, Result
from tidegate.agent.prepare import Prepared
from tidegate.agent.retention import Retention
from tidegate.agent.state import Earlier, QuarantineEntry, State, StateError
from tidegate.agent.survey import Place, Survey
from tidegate.domain.reference import parse_reference
from tidegate.domain.transaction import Settlement

_EARLIER = 5
"""How many earlier releases of a container are remembered at least, and kept from `docker image prune`."""
_DAY, _GONE = timedelta(days=1), timedelta(days=30)
_log = structlog.get_logger(__name__)


class Bookkeeping:
    """Writes to the agent's state what its transactions came to."""

    def __init__(self, state: State, retention: Retention, metrics: Metrics) -> None:
        self._state = state
        self._retention = retention
        self._metrics = metrics
        self._forgot_at: datetime | None = None

    async def book(
        self,
        result: Result,
        prepared: Sequence[Prepared],
        began: datetime | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Note how a transaction ended: history, quarantine, what ran before. Raises `StateError`."""
        self._tell(result, prepared, began)
        for container, reason in result.needs_serving_network.items():
            self._state.unprovable.note(container, reason)
        if result.blame:
            await self._condemn(prepared, result)
        for one in prepared:
            it = one.replacement
            if it.follows:
                continue
            if result.ends.get(it.name) is Settlement.CANDIDATE and result.ending is Ending.COMMITTED:
                await self._keep_earlier(one)
            self._history(one, result, began)
        if hold is not None and result.ending is Ending.COMMITTED:
            self._hold(prepared, hold)

    def _tell(self, result: Result, prepared: Sequence[Prepared], began: datetime | None) -> None:
        seconds = (datetime.now(UTC) - began).total_seconds() if began else 0.0
        self._metrics.transaction(UpdateOutcome(result.ending.replace("-", "_")), seconds)
        quiet, mended = result.ending in {Ending.COMMITTED, Ending.GAVE_WAY}, result.ending is Ending.INTERRUPTED
        level = _log.info if quiet else _log.warning if mended else _log.error
        containers = ", ".join(one.replacement.name for one in prepared)
        level("update ended", container=containers, how=str(result.ending), reason=result.reason)

    async def _condemn(self, prepared: Sequence[Prepared], result: Result) -> None:
        """What failed goes to quarantine; what moved with it and is innocent does not."""
        for one in at_fault(prepared, result.culprit):
            self._quarantine(one, one.replacement.new_digest, result.reason)
            if not one.policy.no_pull:
                await self._retention.drop(one.replacement, one.policy.keep_images)

    def _hold(self, prepared: Sequence[Prepared], hold: Hold) -> None:
        """Who asks for a release takes it out of quarantine; what ran until then goes there."""
        for one in prepared:
            it = one.replacement
            if it.follows:
                continue
            self._let_go((it.cluster, it.service, hold.release))
            for digest in hold.digests:
                self._quarantine(one, digest, "rolled back by hand")

    def _let_go(self, wanted: tuple[str, str, str]) -> None:
        self._state.quarantine.release(lambda one: (one.cluster, one.service, one.digest) == wanted)

    def _quarantine(self, one: Prepared, digest: str, reason: str) -> None:
        it = one.replacement
        self._state.quarantine.add(
            QuarantineEntry(
                repository=parse_reference(it.reference).name,
                digest=digest,
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
        before = self._earlier_images()
        self._state.previous.add(earlier, keep=max(keep or 0, _EARLIER))
        await self._retention.apply(it, keep)
        await self._retention.forget(before - self._earlier_images())

    async def forget_gone(self, survey: Survey, now: datetime) -> None:
        """Once a day: forget what ran on targets that are long gone from the engine, and let go of their images."""
        if self._forgot_at is not None and now - self._forgot_at < _DAY:
            return
        self._forgot_at = now
        before = self._earlier_images()
        present = {(place.cluster, place.service) for place in survey.places}
        self._state.previous.forget_gone(present, now, after=_GONE)
        await self._retention.forget(before - self._earlier_images())

    def _earlier_images(self) -> set[str]:
        return {one.image_id for one in self._state.previous.list()}

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
                **({"output": result.output} if result.output and result.culprit in {"", it.name} else {}),
                **({"steps": steps} if (steps := _steps(result, it.name)) else {}),
            }
        )

    def note(self, place: Place, outcome: str, reason: str, decision: Decision) -> None:
        """A line in the history for an update that did not begin."""
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

    def skip(self, decision: Decision, reason: str) -> None:
        """A release is not waited for any longer: it is not tried again until a person lets it out of quarantine."""
        place, digest = decision.place, decision.latest_digest or ""
        entry = QuarantineEntry(
            repository=parse_reference(place.followed).name,
            digest=digest,
            cluster=place.cluster,
            service=place.service,
            reason=reason,
            since=datetime.now(UTC).isoformat(),
            release=place.followed,
        )
        self._state.quarantine.add(entry)
        self.note(place, "skipped", reason, decision)

    def tell_failure(self, members: Iterable[Decision], reason: str) -> None:
        """An update that could not begin, for each of its containers."""
        for one in members:
            _log.error("update could not begin", container=one.place.name, reason=reason)
            try:
                self.note(one.place, "failed", reason, one)
            except StateError as error:
                _log.error("that could not be noted in the history", reason=str(error))


def _steps(result: Result, container: str) -> list[dict[str, Any]]:
    """What was waited for, of a container and of all."""
    return [
        {"step": one.step, "took_s": one.took_s, "back": one.back}
        for one in result.course
        if one.container in {"", container}
    ]


def at_fault(prepared: Sequence[Prepared], culprit: str) -> list[Prepared]:
    """Whose release failed: the culprit's, or that of the container it follows; all, if unknown."""
    by_name = {one.replacement.name: one for one in prepared}
    one = by_name.get(culprit)
    while one is not None and one.replacement.follows:
        one = by_name.get(one.replacement.parent)
    return [one] if one is not None else [one for one in prepared if not one.replacement.follows]
