"""The link as a whole: puts its parts together, and runs them beside the agent's loop."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from tidegate.agent.background import Background
from tidegate.agent.decide import Decision
from tidegate.agent.link.carrying import Carrying
from tidegate.agent.link.client import ManagerClient, Signer
from tidegate.agent.link.desk import Desk
from tidegate.agent.link.identity import Identities
from tidegate.agent.link.inventory import Stock
from tidegate.agent.link.log import LinkLog
from tidegate.agent.link.sending import Sending
from tidegate.agent.link.sightings import Sightings
from tidegate.agent.link.talk import Contact, Enrolment, Poll
from tidegate.agent.metrics import Sample
from tidegate.agent.outcome import Result
from tidegate.agent.parts import Parts
from tidegate.agent.prepare import Prepared
from tidegate.agent.state import StateError
from tidegate.agent.unended import Unended
from tidegate.agent.within import within
from tidegate.domain.reference import InvalidReferenceError, is_digest, parse_reference
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Event
from tidegate.protocol.events import Inventory, InventoryTarget, LastScan, Sighting

DIRECTORY = "link"
_RETRY = timedelta(seconds=60)
_SETTLE_S = 1.0
_LOOK_AGAIN_S = 300.0
_LEAVE_ALONE = 10
"""A look at many containers takes its time, and one of them that keeps starting is no reason to do nothing else."""
_RESTART_S = 60.0
_log = structlog.get_logger(__name__)


class ManagerLink:
    """The link of one agent; `tidegate.agent.managed.Link` is what the loop knows of it."""

    def __init__(self, parts: Parts, *, retry: timedelta = _RETRY) -> None:
        settings, directory = parts.settings, parts.state.directory / DIRECTORY
        if settings.manager is None:
            raise ValueError("no manager is set")
        self._parts = parts
        self._client = ManagerClient(settings.manager, parts.clock, ca_file=settings.manager_ca)
        self._log = LinkLog(directory, may_write=lambda: parts.state.lock.held, clock=parts.clock)
        self._desk = Desk(self._log, self._client.now, allowed=settings.allow_repositories)
        self._carrying = Carrying(parts, self._desk, retry, self._tell_inventory)
        self._contact = Contact(self._client)
        self._identities = Identities(directory)
        self._enrolment = Enrolment(
            self._client, self._identities, self._log, settings.agent_name, settings.enrolment_token
        )
        self._stock = Stock(parts, self._desk.assigned)
        self._changed = asyncio.Event()
        if parts.watchtower is not None:
            parts.watchtower.watch.on_change = self._changed.set
        self._inventory: tuple[tuple[InventoryTarget, ...], LastScan | None] | None = None
        self._looking = asyncio.Lock()
        self._sightings = Sightings(self._desk.tell)
        self._talking = Background("manager-link")
        parts.metrics.more = self.samples

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to talk to the manager."""
        self._talking.start(lambda: self._run(wake))
        if self._parts.watchtower is not None:
            self._parts.watchtower.watch.start()

    async def close(self) -> None:
        """End it; what is queued stays on disk."""
        await self._talking.close()
        await self._client.close()

    def next_due(self) -> datetime | None:
        """When an assignment has its turn, if any waits."""
        return self._carrying.next_due() if self._desk.agent else None

    async def carry_out(self, unended: Unended) -> None:
        """Carry out what is due."""
        await self._carrying.carry_out(unended)
        self._changed.set()

    def put_off(self) -> None:
        """Have what is open wait for its next turn."""
        self._carrying.put_off()

    def ended(self, assignments: Collection[str], result: Result, prepared: Sequence[Prepared]) -> None:
        """Note how assignments ended, for the manager."""
        if assignments and self._log.exists:
            self._desk.ended(assignments, result, prepared)
        if assignments and self._parts.watchtower is not None:
            self._parts.watchtower.watch.ended()
        self._changed.set()

    def not_put_back(self, assignments: Collection[str], reason: str) -> None:
        """Tell the manager at once; how it ended in the end is not told again."""
        if assignments and self._log.exists:
            self._desk.not_put_back(assignments, reason)

    def seen(self, decisions: Iterable[Decision]) -> None:
        """Tell the manager of digests that are new on their channels; a full disk only costs the telling."""
        if not self._desk.agent:
            return
        found = (self._sighting(decision) for decision in decisions)
        try:
            self._sightings.take(one for one in found if one is not None)
        except StateError as error:
            _log.warning("what was seen could not be noted for the manager", reason=str(error))

    def heard(self, event: Event) -> None:
        """What happens to a container may change the inventory."""
        if event.kind == "container" and not event.action.startswith("exec_"):
            self._changed.set()

    def samples(self) -> list[Sample]:
        """For the agent's metrics."""
        last, oldest = self._contact.last, self._log.oldest
        age_s = max(0.0, (self._client.now() - datetime.fromisoformat(oldest)).total_seconds()) if oldest else 0.0
        return [
            ("tidegate_manager_connected", "gauge", "1 while the manager answers", int(self._contact.connected)),
            (
                "tidegate_manager_last_contact_timestamp_seconds",
                "gauge",
                "When the manager answered last; 0: never",
                int(last.timestamp()) if last else 0,
            ),
            ("tidegate_manager_events_queued", "gauge", "Events the manager does not have yet", self._log.queued),
            ("tidegate_manager_events_oldest_seconds", "gauge", "The age of the oldest of them", int(age_s)),
            *(self._parts.watchtower.watch.samples() if self._parts.watchtower is not None else ()),
        ]

    def _sighting(self, decision: Decision) -> Sighting | None:
        place, digest = decision.place, decision.latest_digest or ""
        local = place.policy is None or place.policy.no_pull
        if not place.selection.selected or local or not is_digest(digest):
            return None
        try:
            reference = parse_reference(place.followed)
        except InvalidReferenceError:
            return None
        if reference.pinned:
            return None
        return Sighting(self._client.now(), reference.name, reference.version, digest)

    async def _run(self, wake: Callable[[], None]) -> None:
        identity = await self._enrolment.identity(self._contact)
        signer = Signer(identity.loaded(), identity.agent, lambda: self._log.manager_key)
        self._desk.agent = identity.agent
        wake()  # what was told before the agent was cut off goes on without the manager
        poll = Poll(self._client, self._log, self._desk, self._contact, wake)
        sending = Sending(self._client, self._log, self._contact, self._tell_anew)
        await asyncio.gather(
            _for_ever(lambda: poll.run(signer)),
            _for_ever(lambda: sending.run(signer)),
            _for_ever(self._keep_inventory),
        )

    def _tell_anew(self) -> None:
        self._inventory = None
        self._sightings.tell_anew()
        self._changed.set()

    async def _keep_inventory(self) -> None:
        """Tell the manager what there is, and again whenever that changes."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            began = loop.time()
            if not await self._tell_inventory():
                await asyncio.sleep(_SETTLE_S * 5)
                continue
            took_s = loop.time() - began
            await within(self._changed, _LOOK_AGAIN_S)
            await asyncio.sleep(max(_SETTLE_S, took_s * _LEAVE_ALONE))

    async def _tell_inventory(self) -> bool:
        """Look, and tell what is news; whether that could be done."""
        async with self._looking:  # what was seen later is told later
            try:
                found = await self._stock.read(), self._stock.updater()
                if found != self._inventory:
                    self._desk.tell(Inventory(self._client.now(), *found))
                    self._inventory = found
                self._sightings.inventory_told(found[0])
            except (EngineError, StateError) as error:
                _log.debug("the inventory could not be told", reason=str(error))
                return False
            return True


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Begin again where it ends by a fault of its own: an agent without its link gets no assignments."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a part of the link to the manager failed; it is started again")
        await asyncio.sleep(_RESTART_S)
