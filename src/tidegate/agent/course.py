"""How long the steps of a transaction took, by what its journal says when each was begun."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.agent.way_back import BACK
from tidegate.domain.course import StepTook

_LEAST_S = 0.05
"""What takes less is passed over: nobody waits for it."""
_OTHERS = {"bake": "bake", "second-opinion": "second-opinion", "settling": "settle"}
_OVER = frozenset({"verdict", "replaced", "settled", "reversed", "theirs", "end"})


def course_of(records: Sequence[Mapping[str, Any]]) -> tuple[StepTook, ...]:
    """What was waited for, in its order. Time in which the agent was not there counts for what it was at before."""
    names, found = dict[str, str](), list[StepTook]()
    under_way: tuple[str, str, int] | None = None
    for record in records:
        names |= _names(record)
        step = _step(record)
        if under_way is not None and (step or record["kind"] in _OVER):
            found.append(_took(*under_way, int(record["time_ns"]), names))
            under_way = None
        if record["kind"] == "end":
            break
        if step:
            under_way = (step, str(record.get("id", "")), int(record["time_ns"]))
    return tuple(one for one in found if one.took_s >= _LEAST_S)


def _step(record: Mapping[str, Any]) -> str:
    return str(record["doing"]) if record["kind"] == "step" else _OTHERS.get(str(record["kind"]), "")


def _names(record: Mapping[str, Any]) -> dict[str, str]:
    """By the ids of replacements that a record is about, the names of their containers."""
    some = record.get("replacements") or [record[name] for name in ("replacement",) if name in record]
    return {str(one["id"]): str(one["name"]) for one in some}


def _took(step: str, id_: str, begun_ns: int, over_ns: int, names: Mapping[str, str]) -> StepTook:
    took_s = round(max(0, over_ns - begun_ns) / 1e9, 2)
    return StepTook(step, took_s, names.get(id_, ""), back=id_.endswith(BACK))
