"""Updates that could not be ended yet: until they are, what they were about is left alone, and nothing else."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.agent.decide import Decision, wait_for_groups
from tidegate.agent.guard import TRANSACTION
from tidegate.agent.plan_row import Action
from tidegate.agent.store.journal import JournalFile
from tidegate.agent.survey import Place
from tidegate.agent.unfinished import UNREADABLE

UNENDED = "an earlier update of it could not be ended yet; the agent's log says why"


class Unended:
    """The journals that stay open; false where there are none."""

    def __init__(self, journals: Sequence[JournalFile] = ()) -> None:
        self._updates = frozenset(journal.txid for journal in journals)
        self._names = frozenset(name for journal in journals for name in _names(journal.records[0]))

    def __bool__(self) -> bool:
        return bool(self._updates)

    def holds(self, place: Place) -> bool:
        """Whether it is one of their containers, or was made for one of them."""
        made_for = place.labels.get(TRANSACTION, "").rpartition(".")[0]
        return place.name in self._names or made_for in self._updates

    def left_out(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Nothing is to be done with their targets, nor with what moves together with these."""
        targets = {one.place.target for one in decisions if self.holds(one.place)}
        return wait_for_groups([_skipped(one) if one.place.target in targets else one for one in decisions])


def _skipped(one: Decision) -> Decision:
    """Also where nothing is due: what runs may not be what is to run."""
    return replace(one, action=Action.SKIP, reason=UNENDED, trouble=True, held=False, until=None)


def _names(begun: Mapping[str, Any]) -> Iterator[str]:
    """The containers of a journal, as far as its first record can be read."""
    with contextlib.suppress(*UNREADABLE):
        for each in (begun, *begun.get("replacements", ())):
            yield str(each.get("name", ""))
