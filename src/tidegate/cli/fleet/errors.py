"""How a command that speaks with a manager fails, and the exit code of each way."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_REACHABLE: Final = 3
NOT_ALLOWED: Final = 4
ROLLOUT_FAILED: Final = 5
INTERRUPTED: Final = 130
_NO_ADMIN: Final = (
    "  An administrator makes another token: `tidegate token create`. Where none is left:\n"
    "  `tidegate manager create-token NAME --role admin`, where the manager runs."
)


class FleetError(Exception):
    """A command that cannot do what it was asked; the message is for the person who asked."""

    code: ClassVar[int] = FAILED


class UsageError(FleetError):
    """What was written cannot be understood, or has more than one meaning."""

    code = USAGE


class NoSuchNameError(FleetError):
    """Nothing has this name."""


class AmbiguousNameError(UsageError):
    """Several things have this name; `candidates` are their full names."""

    def __init__(self, kind: str, word: str, candidates: Sequence[str]) -> None:
        listed = "\n".join(f"  {one}" for one in sorted(candidates))
        super().__init__(f"{word!r} is more than one {kind}; write which:\n{listed}")
        self.candidates = tuple(candidates)


class NotReachableError(FleetError):
    """The manager did not answer, or not now."""

    code = NOT_REACHABLE


class NoManagerError(FleetError):
    """Something answered that is no manager."""


class ProblemError(FleetError):
    """The manager refused a request. `problem` is the document of RFC 9457 that it gave."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__("\n".join(_told(status, problem)))
        self.status = status
        self.problem_code = str(problem.get("code", ""))


class NotAllowedError(ProblemError):
    """The token is not known, or its role may not do this."""

    code = NOT_ALLOWED

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        way_back = {"hint": _NO_ADMIN} if status == HTTPStatus.UNAUTHORIZED else {}
        super().__init__(status, {**problem, **way_back})


def _told(status: int, problem: Mapping[str, Any]) -> list[str]:
    """What is wrong, then each field at fault, then what is accepted."""
    detail = str(problem.get("detail") or problem.get("title") or f"The manager refused with HTTP status {status}.")
    errors = problem.get("errors")
    faults = [one for one in errors if isinstance(one, Mapping)] if isinstance(errors, list) else []
    for one in faults:  # where in a request's body it is means nothing to who wrote a command
        detail = detail.replace(f"{one.get('field')}: ", f"{_field(one)}: ")
    lines = [detail]
    lines += [f"  {_field(one)}: {one.get('message', '')}" for one in faults if str(one.get("message")) not in lines[0]]
    accepted = problem.get("accepted")
    if accepted:
        lines.append(f"  accepted: {_listed(accepted)}")
    if problem.get("hint"):
        lines.append(str(problem["hint"]))
    return lines


def _field(fault: Mapping[str, Any]) -> str:
    return str(fault.get("field", "")).removeprefix("body.")


def _listed(accepted: Any) -> str:
    return ", ".join(map(str, accepted)) if isinstance(accepted, list) else str(accepted)
