"""Events on their way to the manager: in batches, in order, each applied once."""

import asyncio
from collections.abc import Callable

import structlog

from tidegate.agent.link.client import LinkError, ManagerClient, RefusedError, Signer
from tidegate.agent.link.log import Batch, LinkLog
from tidegate.agent.link.pacing import Pace
from tidegate.agent.link.talk import TROUBLE, Contact
from tidegate.protocol.messages import EVENTS_PATH, MOST_EVENTS, read_events_answer
from tidegate.protocol.problems import Code
from tidegate.protocol.version import PROTOCOL

_NOT_TAKEN = frozenset({400, 413, 422})
_log = structlog.get_logger(__name__)


class Sending:
    """Sends what the log has queued, and waits for more."""

    def __init__(self, client: ManagerClient, log: LinkLog, contact: Contact, gap: Callable[[], None]) -> None:
        """`gap` is called when the manager has lost events: it may need to be told anew what there is."""
        self._client = client
        self._log = log
        self._contact = contact
        self._gap = gap
        self._more = asyncio.Event()
        self._after: int | None = None
        self._most = MOST_EVENTS
        self._asked = False
        log.on_event = self._more.set

    async def run(self, signer: Signer) -> None:
        """For ever."""
        pace = Pace()
        while True:
            try:
                self._more.clear()
                batch = self._log.batch(after=self._after, most=self._most)
                if batch is None:
                    await self._more.wait()
                elif not self._asked:
                    await self._ask(signer)
                else:
                    await self._send(batch, signer)
                pace = Pace()
            except TROUBLE as error:
                pace = pace.failed()
                await self._contact.lost(error, pace)

    async def _ask(self, signer: Signer) -> None:
        """How far the manager is, before anything is sent; afterwards nobody can tell whose events it has."""
        stream = self._log.stream
        head = {"protocol": PROTOCOL, "stream": stream, "first": 1}
        try:
            answer = await self._client.post(EVENTS_PATH, {**head, "events": ()}, signer)
        except RefusedError as error:
            if error.status not in _NOT_TAKEN:
                raise
        else:
            self._log.known_before(stream, read_events_answer(answer).applied)
            self._contact.made()
        self._asked = True

    async def _send(self, batch: Batch, signer: Signer) -> None:
        skipped = {"skipped": True} if batch.skipped else {}
        head = {"protocol": PROTOCOL, "stream": batch.stream, "first": batch.first, **skipped}
        try:
            answer = await self._client.post(EVENTS_PATH, {**head, "events": batch.events}, signer)
        except RefusedError as error:
            if not self._taken_back(batch, error):
                raise
            return
        applied = read_events_answer(answer).applied
        self._contact.made()
        if applied < batch.first:
            raise LinkError(f"the manager took no events: it has those up to {applied}, and was sent {batch.first}")
        self._log.acknowledged(batch.stream, applied)
        self._after, self._most = None, MOST_EVENTS

    def _taken_back(self, batch: Batch, error: RefusedError) -> bool:
        """Whether a refusal can be dealt with by sending something else."""
        if error.code == Code.GAP:
            return self._fill(batch, error)
        if error.status not in _NOT_TAKEN:
            return False
        if len(batch.events) > 1:
            self._most = len(batch.events) // 2
        else:
            _log.error("the manager does not take an event; it is left out", number=batch.first, reason=str(error))
            self._log.drop(batch.first)
        return True

    def _fill(self, batch: Batch, error: RefusedError) -> bool:
        """Go on from where the manager is. What is not here any more is skipped; it may have been set back."""
        expected = error.problem.get("expected")
        if isinstance(expected, bool) or not isinstance(expected, int) or expected < 1 or self._after == expected - 1:
            return False
        _log.warning("the manager expects other events", expected=expected, sent=batch.first)
        self._log.acknowledged(batch.stream, expected - 1)
        self._after = expected - 1
        self._gap()
        return True
