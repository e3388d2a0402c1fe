"""What simulated agents were told, and what of it must not have been."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from tidegate.domain.assignment import Assignment
from tidegate.protocol.messages import Item
from tidegate.protocol.signed import UnsignedError, read_document

_MOST_FAULTS = 200


@dataclass(frozen=True, slots=True)
class Got:
    """An assignment that an agent got, and when by the monotonic clock, which all processes of a machine share."""

    agent: str
    seq: int
    it: Assignment
    at: float


@dataclass(slots=True)
class Record:
    """Everything that a fleet was told.

    `faults` are sentences about what no manager may do; `answers` counts answers by what they were of and their status.
    """

    got: list[Got] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    _sealed: list[tuple[str, str, Item]] = field(default_factory=list, repr=False)
    _ids: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)
    _newest: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)

    def fault(self, sentence: str) -> None:
        """Something was wrong."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(sentence)

    def sealed(self, agent: str, manager_key: str, item: Item) -> None:
        """An item whose signature `check` has to hold against this key: later, because it takes the agents' time."""
        self._sealed.append((agent, manager_key, item))

    def assignment(self, agent: str, id_: str, targets: Collection[str], seq: int, it: Assignment) -> bool:
        """An agent called `agent`, which is `id_` and looks after `targets`, got this; whether that is in order."""
        self.got.append(Got(agent, seq, it, time.monotonic()))
        before = len(self.faults)
        if it.agent != id_ or it.target not in targets:
            self.fault(f"foreign: {agent} ({id_}) got {it.id}, which is for {it.target} of {it.agent}")
        if it.id in self._ids:
            self.fault(f"doubled: {agent} got {it.id} as {seq}, and {self._ids[it.id]} before")
        newest = self._newest.get((agent, it.target), 0)
        if it.generation <= newest:
            self.fault(f"doubled: {agent} got generation {it.generation} of {it.target} after {newest}")
        self._ids.setdefault(it.id, (agent, seq))
        self._newest[agent, it.target] = max(it.generation, newest)
        return len(self.faults) == before

    def check(self, given: Collection[str]) -> list[str]:
        """All faults, with those of signatures and those of assignments that were `given` (ids) and never got."""
        for agent, key, item in self._sealed:
            try:
                read_document(key, item.document, item.signature)
            except UnsignedError:
                self.fault(f"unsigned: {agent} got {item.seq}: {item.document[:100]}")
        self._sealed.clear()
        lost = set(given) - self._ids.keys()
        strange = self._ids.keys() - set(given)
        more = [f"lost: {id_} was given to nobody" for id_ in sorted(lost)]
        more += [f"foreign: {self._ids[id_][0]} got {id_}, which the manager knows nothing of" for id_ in strange]
        return [*self.faults, *more[:_MOST_FAULTS]]
