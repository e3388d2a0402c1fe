"""One container on its way from one image to another: everything its transaction and its recovery need."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from tidegate.domain.recreate_candidate import restart_policy_of
from tidegate.domain.transaction import Step, Strategy, serves

NEXT = "-tidegate-next"
SECOND = "-tidegate-second"


@dataclass(slots=True)
class Replacement:
    """A replacement as it stands in the journal.

    `id` is the transaction's id and a number; containers and networks made for it carry it as a label.
    `request` makes the candidate and `saved` the incumbent again; both are create requests without networks.
    `endpoints` and `saved_endpoints` map each network's name to its endpoint settings. `late` networks are joined
    after the proof, `early` ones at creation. `reverse` marks the way back to a release that ran before.
    `parent` is the name of the container in whose namespaces it lives, if it is moved for that one's sake.
    `old_image` and `new_image` are image ids, `reference` is what the Compose file says.
    """

    id: str
    cluster: str
    service: str
    number: str
    name: str
    incumbent: str
    reference: str
    old_image: str
    new_image: str
    old_digest: str
    new_digest: str
    strategy: Strategy
    late: tuple[str, ...]
    early: tuple[str, ...]
    request: dict[str, Any] = field(repr=False)
    endpoints: dict[str, dict[str, Any]] = field(repr=False)
    saved: dict[str, Any] = field(repr=False)
    saved_endpoints: dict[str, dict[str, Any]] = field(repr=False)
    was_running: bool = True
    reverse: bool = False
    why: str = ""
    parent: str = ""
    candidate: str | None = None
    private: str | None = None
    done: set[Step] = field(default_factory=set)

    @property
    def began(self) -> datetime:
        """When its transaction began, by the agent's clock, to the second: it is in the id."""
        date, time = self.id.split("-")[:2]
        return datetime.strptime(f"{date}{time}+0000", "%Y%m%d%H%M%S%z")

    @property
    def next_name(self) -> str:
        """The candidate's name until it takes over."""
        return f"{self.name}{NEXT}"

    @property
    def follows(self) -> bool:
        """Whether it is made anew from its own image, for its parent's sake only."""
        return self.old_image == self.new_image

    @property
    def policy(self) -> Mapping[str, Any]:
        """The restart policy the container is to end with."""
        return restart_policy_of(self.request)

    @property
    def saved_policy(self) -> Mapping[str, Any]:
        """The restart policy the incumbent had."""
        return restart_policy_of(self.saved)

    @property
    def engine_may_start_it(self) -> bool:
        """Whether a start of the incumbent, without an end that was seen, may be by its restart policy.

        It may have ended just before the watch began. What is put back is often put back because it keeps ending.
        """
        policy = self.saved_policy.get("Name") or "no"
        return self.reverse or (self.was_running and policy != "no" and Step.HOLD not in self.done)

    @property
    def serves(self) -> bool:
        """Whether the candidate was proved and answers."""
        return serves(self.strategy, frozenset(self.done))

    def step_record(self, doing: Step) -> dict[str, Any]:
        """What a step may have changed, before the next one is taken."""
        return {
            "kind": "step",
            "id": self.id,
            "doing": doing,
            "done": sorted(self.done),
            "candidate": self.candidate,
            "private": self.private,
            "strategy": self.strategy,
            "late": list(self.late),
            "early": list(self.early),
        }

    def step_update(self, record: Mapping[str, Any]) -> None:
        """Bring a replacement read from the journal up to one of its step records."""
        self.strategy = Strategy(record["strategy"])
        self.late, self.early = tuple(record["late"]), tuple(record["early"])
        self.candidate, self.private = record["candidate"], record["private"]
        self.done = {Step(step) for step in record["done"]}

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"done": sorted(self.done), "late": list(self.late), "early": list(self.early)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Replacement":
        """The reverse of `record`."""
        values = dict(record)
        values["strategy"] = Strategy(values["strategy"])
        values["late"], values["early"] = tuple(values["late"]), tuple(values["early"])
        values["done"] = {Step(step) for step in values["done"]}
        return cls(**values)
