"""The conversation with the manager: enrolment, the long poll, and events on their way up."""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from tidegate import __version__
from tidegate.agent.link.client import LinkError, ManagerClient, RefusedError, Signer
from tidegate.agent.link.desk import Desk
from tidegate.agent.link.identity import Identities, Identity, hash_of
from tidegate.agent.link.log import Change, LinkLog
from tidegate.agent.link.pacing import SHORTEST_WAIT_S, Pace, held_s
from tidegate.agent.store.files import StateError
from tidegate.protocol.fields import MessageError
from tidegate.protocol.keys import InvalidKeyError, load_key, public_text
from tidegate.protocol.messages import (
    ENROL_PATH,
    POLL_PATH,
    EnrolRequest,
    PollRequest,
    read_enrol_answer,
    read_poll_answer,
    write_enrol_request,
    write_poll_request,
)
from tidegate.protocol.problems import Code
from tidegate.protocol.requests import enrol_proof
from tidegate.protocol.version import PROTOCOL

_AT_ONCE_S = 1.0
"""An answer without items that comes sooner is no long poll: something on the way does not hold it."""
_FINAL = frozenset({Code.REVOKED, Code.UNKNOWN_AGENT, Code.PROTOCOL, Code.BAD_TOKEN, Code.BAD_SIGNATURE})
_log = structlog.get_logger(__name__)

Trouble = LinkError | MessageError | StateError | InvalidKeyError
TROUBLE = (LinkError, MessageError, StateError, InvalidKeyError)


class Contact:
    """How the link is, and the log line when that changes."""

    def __init__(self, client: ManagerClient) -> None:
        self._client = client
        self.connected = False
        self.last: datetime | None = None
        self._trouble = ""

    def made(self) -> None:
        """The manager has answered."""
        self.last = self._client.now()
        if not self.connected:
            _log.info("connected to the manager")
        self.connected, self._trouble = True, ""

    async def lost(self, error: Trouble, pace: Pace) -> None:
        """It has not, or not as it should; wait before it is asked again."""
        self.connected = False
        final = isinstance(error, RefusedError) and error.code in _FINAL
        wait_s = pace.wait_s(random.random(), retry_after_s=_asked_for(error), rarely=final)  # noqa: S311 - spreads load
        level = _log.debug if str(error) == self._trouble else _log.error if final else _log.warning
        level(_MEANS.get(error.code, _AWAY) if isinstance(error, RefusedError) else _AWAY, reason=str(error))
        self._trouble = str(error)
        await asyncio.sleep(wait_s)


_AWAY = "the manager cannot be asked; what runs is kept as it is, and it is asked again"
_MEANS: Mapping[str, str] = {
    Code.REVOKED: "the manager has revoked this agent: it gets no more assignments; enrol it with a new token",
    Code.UNKNOWN_AGENT: "the manager does not know this agent (any more); enrol it with a new token",
    Code.BAD_TOKEN: "the manager does not take the enrolment token: it was used, has expired, or is of another one",
    Code.PROTOCOL: "the manager does not speak this agent's protocol any more: update the agent's image",
}

_NOT_ITS_WORD = (
    "what the manager sent is not signed by the key that this agent has pinned, or not for it. The manager is asked "
    "again; if its keys were lost, enrol the agent with a new token"
)

_TOKEN_REFUSED = frozenset({Code.BAD_TOKEN, Code.REVOKED, "name-taken", "wrong-name"})
"""It was the token, in the manager's own words. Whatever else is answered may be of something on the way."""
_STAYS = (
    "the manager does not take this agent's other enrolment token, so the agent stays who it is; take the token away, "
    "or to enrol it anew revoke the agent, give it a new token and restart it"
)


def _asked_for(error: Trouble) -> float | None:
    return error.retry_after_s if isinstance(error, LinkError) else None


class Enrolment:
    """Gives the agent its identity, with a token, once."""

    def __init__(
        self, client: ManagerClient, identities: Identities, log: LinkLog, name: str, token: Callable[[], str | None]
    ) -> None:
        """`token` is asked each time: its file may come later."""
        self._client = client
        self._identities = identities
        self._log = log
        self._name = name
        self._token = token
        self._told = False

    async def identity(self, contact: Contact) -> Identity:
        """Who the agent is, as soon as it is somebody. It tries another token than it enrolled with first.

        Where the manager does not take that one, the agent goes on as before: a token must not cut it off.
        """
        pace = Pace()
        while True:
            try:
                found = await self._once()
            except TROUBLE as error:
                pace = pace.failed()
                await contact.lost(error, pace)
            else:
                if found is not None:
                    return found
                await asyncio.sleep(SHORTEST_WAIT_S)

    async def _once(self) -> Identity | None:
        known, token = self._identities.read(), self._token()
        if token is not None and (known is None or hash_of(token) != known.token_hash):
            try:
                return await self._enrol(token)
            except RefusedError as error:
                if known is None or error.code not in _TOKEN_REFUSED:
                    raise
                _log.error(_STAYS, name=known.name, reason=str(error))
        if known is not None:
            return self._as_before(known)
        if not self._told:
            self._told = True
            _log.error("a manager is set, but this agent has not enrolled with it; give it TIDEGATE_ENROL_TOKEN")
        return None

    def _as_before(self, known: Identity) -> Identity:
        known.loaded()
        if not self._log.exists:
            self._log.begin(known.manager_key)
        elif not self._log.manager_key:  # lost with a part of the log; from this one the manager leads to its newest
            self._log.commit(Change(manager_key=known.manager_key))
        return known

    async def _enrol(self, token: str) -> Identity:
        pem = self._identities.key_for(token)
        key = load_key(pem)
        request = EnrolRequest(PROTOCOL, token, self._name, public_text(key), __version__, enrol_proof(key, token))
        answer = read_enrol_answer(await self._client.post(ENROL_PATH, write_enrol_request(request)))
        identity = Identity(answer.agent, answer.name, pem, answer.manager_key, hash_of(token))
        self._log.begin(answer.manager_key)  # first: with the identity on disk nothing asks for it again
        self._identities.keep(identity)
        _log.info("enrolled with the manager", name=answer.name, agent=answer.agent)
        return identity


class Poll:
    """One long poll after another; each is a heart-beat."""

    def __init__(
        self, client: ManagerClient, log: LinkLog, desk: Desk, contact: Contact, wake: Callable[[], None]
    ) -> None:
        """`wake` is called when there is something to do."""
        self._client = client
        self._log = log
        self._desk = desk
        self._contact = contact
        self._wake = wake

    async def run(self, signer: Signer) -> None:
        """For ever."""
        pace = Pace()
        while True:
            try:
                await self._once(signer)
                pace = Pace()
            except TROUBLE as error:
                pace = pace.failed()
                await self._contact.lost(error, pace)

    async def _once(self, signer: Signer) -> None:
        # the first is not held: it tells at once whether the manager is there, and what waited for the agent
        held = self._contact.connected
        wait_s = held_s(random.random()) if held else 0  # noqa: S311 - spreads load
        request = PollRequest(PROTOCOL, self._log.cursor, wait_s, __version__, self._log.manager_key)
        began = asyncio.get_running_loop().time()
        answer: Any = await self._client.post(POLL_PATH, write_poll_request(request), signer, wait_s=wait_s)
        items = read_poll_answer(answer).items
        if self._desk.take(items):
            self._wake()
        elif items:  # they come again until they can be taken, which is no reason to ask all the time
            raise LinkError(_NOT_ITS_WORD)
        self._contact.made()
        if items:
            return
        if held and asyncio.get_running_loop().time() - began < _AT_ONCE_S:
            await asyncio.sleep(_AT_ONCE_S)
