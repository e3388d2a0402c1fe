"""What agents are told when a request of theirs is refused."""

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from tidegate.manager.agents.known import Agent
from tidegate.manager.agents.strict import NotSpokenError, check_protocol
from tidegate.protocol.fields import MessageError
from tidegate.protocol.problems import Code

T = TypeVar("T")


class RefusedError(Exception):
    """A request that is refused: the HTTP status, the code and the members of its problem."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after_s: int | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.retry_after_s, self.more = status, code, retry_after_s, more


def read(body: bytes, reader: Callable[[Any], T]) -> T:
    """What a body says. Raises `RefusedError`."""
    try:
        message = json.loads(body)
        check_protocol(message)
        return reader(message)
    except NotSpokenError as error:
        raise RefusedError(426, Code.PROTOCOL, sentence(error), accepted=error.accepted) from None
    except MessageError as error:
        refuse(error)
    except (ValueError, RecursionError):
        raise RefusedError(400, Code.BAD_MESSAGE, "The body is no JSON; a JSON object is accepted.") from None


def refuse(error: MessageError) -> NoReturn:
    """Refuse a message that cannot be read, by the field that is wrong."""
    faults = [{"field": error.field or "body", "message": error.why}]
    raise RefusedError(400, Code.BAD_MESSAGE, f"{error}.", errors=faults) from None


def revoked(agent: Agent) -> RefusedError:
    """What a revoked agent is told."""
    return RefusedError(403, Code.REVOKED, f"Agent {agent.name} was revoked; to let it in again, enrol it anew.")


def too_many_new(agent: Agent, wait_s: int) -> RefusedError:
    """What an agent is told that names ever new targets or channels."""
    detail = (
        f"Agent {agent.name} names more new targets and channels than are taken of it in an hour, which are twice "
        f"TIDEGATE_AGENT_TARGETS; try again in {wait_s} s."
    )
    return RefusedError(429, "too-many-requests", detail, retry_after_s=wait_s)


def sentence(error: Exception) -> str:
    """What an error says, as a sentence."""
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."
