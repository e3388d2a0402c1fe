"""A service of one test whose releases have to be signed, and the agent that looks after it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.cosign import Signer, policy
from tests.support.docker import docker
from tests.support.features import image_of, one, services
from tests.support.images import Pushed, build
from tests.support.registry import Registry

from tidegate.agent.plan_row import Action


@dataclass
class Stage:
    """A service `web` that follows `repository:latest`. The policy asks for the signature of `acme`."""

    compose: Compose
    registry: Registry
    repository: str
    folder: Path
    acme: Signer

    @property
    def name(self) -> str:
        """The repository as the engine, the agent and signers name it."""
        return f"{self.registry.engine_address or self.registry.address}/{self.repository}"

    def push(self, version: str, tag: str = "latest", *, beside: str = "") -> Pushed:
        """A release; `beside` is what the name of another repository ends in."""
        return build(self.registry, f"{self.repository}{beside}:{tag}", version=version)

    def start(self, **more: Any) -> str:
        """Bring the service up at an unsigned first release; its container's id."""
        self.compose.write(services(web=one(self.push("1"), **more)))
        self.compose.up()
        return str(self.compose.container("web")["Id"])

    def agent(self, rules: Path | None = None, /, **more: str) -> AbstractAsyncContextManager[AgentHere]:
        """An agent held to `rules`, by default that all of the registry is signed by `acme`."""
        registry = self.name.removesuffix(self.repository)
        rules = rules or policy(self.folder, (f"{registry}*", self.acme))
        quick = {"TIDEGATE_SETTLE": "100ms", "TIDEGATE_BAKE": "100ms"}
        return agent_here(self.folder / "state", TIDEGATE_SIGNATURES=str(rules), **quick, **more)

    def stays(self, container: str, new: Pushed) -> bool:
        """Whether the container that ran runs, and nothing of the new release is on the engine."""
        web = self.compose.container("web")
        return bool(web["Id"] == container and web["State"]["Running"]) and not pulled(new)

    def runs(self, image: Pushed) -> bool:
        """Whether the service runs an image, and Compose agrees."""
        return image_of(self.compose, "web") == image.image_id and self.compose.changes() == []


def pulled(image: Pushed) -> bool:
    """Whether the engine has an image from its repository; the same content may be there from another."""
    return bool(docker("image", "inspect", "--format", "{{.Id}}", image.pinned, check=False))


async def let_in(here: AgentHere) -> str:
    """Do what comes before an update: decide, verify, pull; the new image's id. Raises `UnverifiedError`."""
    survey = await here.parts.surveyor().survey()
    decisions = await here.parts.decider(remember=False).decide(survey, here.parts.clock())
    due = [(one, one.place.followed) for one in decisions if one.action is Action.UPDATE]
    prepared = await here.parts.preparer.prepare("test", due)
    return prepared[0].replacement.new_image


async def refusal(here: AgentHere) -> str:
    """Look: why the one thing that is due is not let in."""
    looked = await here.look()
    assert (here.last()["outcome"], looked.tally.failed) == ("unverified", 1)
    assert here.parts.state.quarantine.list() == []
    return str(here.last()["reason"])


def impatient(here: AgentHere) -> None:
    """Let the agent wait for cosign a moment only."""
    cosign = here.parts.preparer._signatures._verifier  # type: ignore[union-attr]
    object.__setattr__(cosign, "limit_s", 0.3)
