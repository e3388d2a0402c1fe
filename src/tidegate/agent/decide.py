"""What is to be done about each container, and why: the sentence `plan` prints and the loop acts on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from tidegate.agent.detect import Detector, Finding, digests_of, parse_followed
from tidegate.agent.plan_row import Action
from tidegate.agent.survey import Place, Survey
from tidegate.domain.policy import Policy
from tidegate.domain.windows import Gate
from tidegate.engine.errors import EngineError, NotFoundError
from tidegate.engine.model import Image
from tidegate.engine.port import Engine
from tidegate.registry.errors import RegistryError

FOR_THE_MANAGER = "it is for the manager to say"


@dataclass(frozen=True, slots=True)
class Decision:
    """One container's.

    `pin` and `pin_back`: the new container, or the old one where it has to come back, is made by digest, so that who
    follows the tag beside the agent leaves it alone.

    `new_image` is the id the new release will have on this engine, where it is known. `trouble`: a person should
    look. `held`: due, but not at this hour; `until` is when it may be, if ever. `quarantined`: the newest release is.
    `ran_here`: the release has run on this target before, and was let in then; its signature is not asked for.
    """

    place: Place
    action: Action
    reason: str
    running_digest: str | None = None
    latest_digest: str | None = None
    new_image: str | None = None
    trouble: bool = False
    held: bool = False
    unreached: bool = False
    until: datetime | None = None
    quarantined: bool = False
    ran_here: bool = False
    pin: bool = False
    pin_back: bool = False


class Gates(Protocol):
    """What may hold a release back."""

    def quarantined(self, place: Place, digest: str) -> str | None:
        """Why the digest is never to be offered to this target, or None."""

    def closed(self, place: Place, policy: Policy, digest: str, now: datetime) -> Gate | None:
        """Why now is not the time (window, freeze, cool-down) and when it is, or None."""


class Decider:
    """Compares what runs with what is on the channel, then asks the gates."""

    def __init__(self, engine: Engine, detector: Detector, gates: Gates, *, managed: bool = False) -> None:
        """`managed`: a manager says what is updated, and nothing is by itself."""
        self._managed = managed
        self._engine = engine
        self._detector = detector
        self._gates = gates

    async def decide(self, survey: Survey, now: datetime, *, patient: bool = True) -> list[Decision]:
        """One decision for every container, selected or not. Registries are asked once per reference."""
        asked = {place.followed for place in survey.selected if not _local_only(place)}
        findings = await self._detector.look(asked, patient=patient)
        each = [await self._one(survey, place, findings, now) for place in survey.places]
        return wait_for_groups(wait_for_the_tag(each))

    def closed(self, decision: Decision, now: datetime) -> Gate | None:
        """Why it is no longer the time for an update that was due when it was decided, or None."""
        place = decision.place
        if place.policy is None:
            return None
        return self._gates.closed(place, place.policy, decision.latest_digest or "", now)

    async def _one(self, survey: Survey, place: Place, findings: Mapping[str, Finding], now: datetime) -> Decision:
        if not place.selection.selected:
            return Decision(place, Action.NONE, place.selection.reason, trouble=place.policy is None)
        reference = place.followed
        image = survey.images.get(place.image_id)
        digests = digests_of(image, reference) if image else []
        if not _local_only(place):
            return await self._compare(place, findings[reference], digests, now)
        parsed, finding = parse_followed(reference)
        if parsed is None:
            return await self._compare(place, finding, digests, now)
        return await self._from_store(place, reference, digests, now)

    async def _compare(self, place: Place, finding: Finding, digests: list[str], now: datetime) -> Decision:
        running = digests[0] if digests else None
        if finding.pinned:
            return Decision(place, Action.NONE, finding.error or "it is pinned", running, running)
        if finding.digest is None:
            reason = finding.error or "nothing is known of its channel"
            if running is None:
                reason += "; if it is built here (`build:`), label it tidegate.enable=false"
            return Decision(place, Action.SKIP, reason, running, trouble=True, unreached=True)
        if finding.digest in digests:
            return Decision(place, Action.NONE, "it runs the newest release", finding.digest, finding.digest)
        return await self._newer(place, finding, running, now)

    async def _newer(self, place: Place, finding: Finding, running: str | None, now: datetime) -> Decision:
        digest = finding.digest or ""
        try:
            image: Image = await self._engine.image(place.image_id)
            release = await self._detector.release(finding.reference, digest, image)
        except (RegistryError, EngineError) as error:
            return Decision(place, Action.SKIP, str(error), running, digest, trouble=True)
        if release.config_digest == place.image_id:
            return Decision(place, Action.NONE, "only other platforms have changed", running, digest)
        return self._gated(place, now, running, digest, release.config_digest)

    async def _from_store(self, place: Place, reference: str, digests: list[str], now: datetime) -> Decision:
        """With no-pull, the engine's own tag is the channel."""
        try:
            image = await self._engine.image(reference)
        except NotFoundError:
            reason = f"no-pull is set and the engine has no image {reference}; pull it by hand"
            return Decision(place, Action.SKIP, reason, trouble=True)
        except EngineError as error:
            return Decision(place, Action.SKIP, str(error), trouble=True)
        known = digests_of(image, reference)
        digest = known[0] if known else image.id
        if image.id == place.image_id:
            return Decision(place, Action.NONE, "it runs what the engine's tag names", digest, digest)
        return self._gated(place, now, digests[0] if digests else None, digest, image.id)

    def _gated(self, place: Place, now: datetime, running: str | None, digest: str, new_image: str) -> Decision:
        policy = place.policy
        if policy is None:
            raise ValueError(f"{place.name} was selected without a policy")
        due = Decision(place, Action.UPDATE, "a newer release is on its channel", running, digest, new_image)
        if policy.monitor_only:
            return replace(due, action=Action.MONITOR, reason=f"{due.reason}; it is monitored only")
        if self._managed:
            return replace(due, action=Action.SKIP, reason=f"{due.reason}; {FOR_THE_MANAGER}")
        if why := self._gates.quarantined(place, digest):
            return replace(due, action=Action.SKIP, reason=why, quarantined=True)
        if closed := self._gates.closed(place, policy, digest, now):
            return replace(due, action=Action.SKIP, reason=closed.reason, held=True, until=closed.next_open)
        return due


def wait_for_the_tag(decisions: Sequence[Decision]) -> list[Decision]:
    """What a cluster has on one tag moves together: not to a release that is in quarantine for another of them."""
    failed: dict[tuple[str, str] | None, Decision] = {
        one.place.tag: one for one in reversed(decisions) if one.quarantined and one.place.tag
    }
    return [_held_with(one, failed) if failed and one.action is Action.UPDATE else one for one in decisions]


def _held_with(one: Decision, failed: Mapping[tuple[str, str] | None, Decision]) -> Decision:
    other = failed.get(one.place.tag)
    if other is None:
        return one
    reason = f"it waits for {other.place.target}, which runs the same image: {other.reason}"
    return replace(one, action=Action.SKIP, reason=reason, quarantined=True)


def wait_for_groups(decisions: Sequence[Decision]) -> list[Decision]:
    """A group moves together: none of it alone while another cannot, may not, or has to wait."""
    blocked: dict[tuple[str, str], Decision] = {}
    for one in sorted(filter(_keeps_back, decisions), key=_weight):
        if one.place.group is not None:
            blocked.setdefault(one.place.group, one)
    return [_behind(one, blocked.get(one.place.group or ("", ""))) for one in decisions]


def _keeps_back(one: Decision) -> bool:
    return one.quarantined or one.trouble or one.held or one.action is Action.MONITOR


def _weight(one: Decision) -> int:
    """What waits for a person is told before what waits for its hour."""
    return [one.quarantined, one.trouble, one.action is Action.MONITOR, one.held].index(True)


def _behind(one: Decision, other: Decision | None) -> Decision:
    if other is None or one.action is not Action.UPDATE:
        return one
    reason = f"it waits for {other.place.target} of its group: {other.reason}"
    return replace(one, action=Action.SKIP, reason=reason, held=other.held, until=other.until)


def _local_only(place: Place) -> bool:
    return place.policy is not None and place.policy.no_pull
