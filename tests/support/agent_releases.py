"""Releases of the agent's own image on a channel, for its update of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.docker import docker
from tests.support.images import Pushed
from tests.support.registry import MANIFEST, Registry, digest_of

from groundwork import agent_image

BUILT = "tidegate/agent:test"

DIES_WITH_THE_LOCK = """
import os, runpy, sys
from tidegate.agent import recovery
async def die(*_):
    os._exit(9)
recovery._take_over = die
sys.argv = ["tidegate", "agent", "run", *sys.argv[1:]]
runpy.run_module("tidegate", run_name="__main__")
"""


def dying_at(step: str) -> str:
    """Code of an agent that takes over from its predecessor, and ends after `step` for as long as that exists."""
    return f"""
import os, runpy, sys
from tidegate.agent.hands import Hands
perform = Hands.perform
async def once(self, step):
    await perform(self, step)
    if step == {step!r} and not os.path.exists("/var/lib/tidegate/died"):
        open("/var/lib/tidegate/died", "w").close()
        os._exit(9)
Hands.perform = once
sys.argv = ["tidegate", "agent", "run", *sys.argv[1:]]
runpy.run_module("tidegate", run_name="__main__")
"""


@dataclass(frozen=True)
class Channel:
    """A repository of the agent's image in the session's registry, which containers reach at `address`."""

    registry: Registry
    name: str

    @property
    def address(self) -> str:
        """HOST:PORT of the registry, for the engine and for containers."""
        return os.environ["GROUND_REGISTRY_LAN"]

    @property
    def reference(self) -> str:
        """The image as the Compose file names it."""
        return f"{self.address}/{self.name}:latest"

    def build(self) -> None:
        """Push the image of these sources, as built by the project's Dockerfile."""
        agent_image.build(BUILT)
        docker("tag", BUILT, self.reference)
        docker("push", self.reference, timeout_s=300)
        docker("rmi", self.reference)

    def release(self, version: str, entrypoint: Sequence[str] = (), **config: Any) -> Pushed:
        """Push the same files as another release; the config's keys are spelled as the engine does."""
        manifest = json.loads(self._get(f"manifests/{self._built()}", MANIFEST))
        document = json.loads(self._get(f"blobs/{manifest['config']['digest']}"))
        labels = {**document["config"]["Labels"], "org.opencontainers.image.version": version}
        document["config"].update({"Labels": labels, **config})
        if entrypoint:
            document["config"]["Entrypoint"] = list(entrypoint)
        content = json.dumps(document).encode()
        digest = self.registry.put_blob(self.name, content)
        manifest["config"] |= {"digest": digest, "size": len(content)}
        return Pushed(self.reference, self.registry.put_manifest(self.name, "latest", manifest), digest_of(content))

    def _built(self) -> str:
        """The tag that the first push is kept under."""
        manifest = self._get("manifests/built", MANIFEST, missing=True)
        if not manifest:
            first = json.loads(self._get("manifests/latest", MANIFEST))
            self.registry.put_manifest(self.name, "built", first)
        return "built"

    def _get(self, path: str, accept: str = "*/*", *, missing: bool = False) -> bytes:
        status, _, body = self.registry.request("GET", f"/v2/{self.name}/{path}", headers={"Accept": accept})
        assert missing or status == 200, f"{path}: {status} {body!r}"
        return body if status == 200 else b""
