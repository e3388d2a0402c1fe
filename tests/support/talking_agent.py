"""An agent's link without an agent: `python -m tests.support.talking_agent URL DIRECTORY TOKEN`, until it is killed.

It tells of one release after another, and writes `told TAG` when that is on its disk.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from tests.support.assigned import NEW

from tidegate.agent.link.client import ManagerClient, Signer
from tidegate.agent.link.desk import Desk
from tidegate.agent.link.identity import Identities
from tidegate.agent.link.log import LinkLog
from tidegate.agent.link.sending import Sending
from tidegate.agent.link.talk import Contact, Enrolment, Poll
from tidegate.protocol.events import Sighting


async def _main(url: str, directory: Path, token: str) -> None:
    client = ManagerClient(url, lambda: datetime.now(UTC))
    log = LinkLog(directory)
    desk, contact = Desk(log, client.now), Contact(client)
    identity = await Enrolment(client, Identities(directory), log, "berlin1", lambda: token).identity(contact)
    desk.agent = identity.agent
    signer = Signer(identity.loaded(), identity.agent, lambda: log.manager_key)
    poll = Poll(client, log, desk, contact, lambda: None)
    sending = Sending(client, log, contact, lambda: None)
    await asyncio.gather(poll.run(signer), sending.run(signer), _tell(desk))


async def _tell(desk: Desk) -> None:
    while True:
        tag = uuid4().hex
        desk.tell(Sighting(datetime.now(UTC), "docker.io/library/web", tag, NEW))
        sys.stdout.write(f"told {tag}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
