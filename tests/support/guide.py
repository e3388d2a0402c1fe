"""The guide of the autonomy cluster, and somebody who plays it line by line, with images of this ground."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed, build
from tests.support.pages import ROOT, blocks, spans_of
from tests.support.registry import Registry
from tests.support.shell import Shell

from groundwork import agent_image

PAGE = ROOT / "docs" / "ORCHESTRATOR_AUTOUPDATE.md"
SCRIPT, CHANNEL = "orchestrator_cluster_autoupdate.sh", "autonomy/orchestrator:autonomy-latest"
_AGENT = re.compile(r"\$\{AGENT:-(\w+)\}")


class Host:
    """A host with a checkout, and somebody with the page before them.

    `asked`: what they say to the script besides. `lines`: of `.env`, for this ground alone.
    """

    def __init__(
        self, folder: Path, compose: Compose, registry: Registry, asked: Sequence[str] = (), **lines: str
    ) -> None:
        self.compose = compose
        self._asked = asked
        self._lan = os.environ["GROUND_REGISTRY_LAN"]
        docker("image", "rm", "--force", f"{self._lan}/{CHANNEL}", check=False)  # another test may have left it
        self._registry = Registry(registry.address, engine_address=self._lan)
        agent = f"{compose.project}/agent:latest"
        consumer = build(self._registry, "autonomy/consumer:latest", version="consumer")
        self._names = {
            "ghcr.io/acme/orchestrator": f"{self._lan}/autonomy/orchestrator",
            "ghcr.io/acme/consumer:latest": consumer.reference,
            "ghcr.io/tidegate/agent:latest": agent,
        }
        agent_image.build(agent)
        lines = {"BAKE": "1s", "INSECURE_REGISTRIES": self._lan, **lines}
        environ = {
            "TIDEGATE_CLUSTER_PROJECT": compose.project,
            "TIDEGATE_CLUSTER_SET": "\n".join(f"{name}={value}" for name, value in lines.items()),
        }
        self.shell = Shell(folder, environ)
        self._lines = [line for block in blocks("sh") if block.page == PAGE.name for line in block.text.splitlines()]

    def release(self, version: str) -> Pushed:
        """Push one."""
        return build(self._registry, CHANNEL, version=version, healthcheck=True)

    def says(self, beginning: str) -> str:
        """What the page says so, as a line of its own; what that printed."""
        return self.shell.does(self.words(beginning))

    def words(self, beginning: str) -> str:
        """What the page says between backticks that begins so."""
        (found,) = {one for one in spans_of(PAGE) if one.startswith(beginning)}
        return found

    def has_watchtower_look(self) -> str:
        """Play the lines that have Watchtower alone look now; what they printed."""
        (block,) = [block for block in blocks("bash") if block.page == PAGE.name]
        return "".join(self.shell.does(line) for line in block.text.splitlines())

    def goes_on_to(self, beginning: str, digest: str = "sha256:...") -> str:
        """Every line up to one that begins so; what that one printed. The agent is whichever service it is."""
        while True:
            line = self._lines.pop(0)
            said = self.shell.does(self._here(line).replace("sha256:...", digest))
            if _AGENT.sub("AGENT", line).startswith(beginning):
                return said

    def ended(self) -> bool:
        """Whether no line is left."""
        return not self._lines

    def _here(self, line: str) -> str:
        if " rollback " in line:
            line = line.replace("autonomy/orchestrator", f"{self.compose.project}/orchestrator")
        for name, ours in self._names.items():
            line = line.replace(name, ours)
        return f"{line} {shlex.join(self._asked)}" if line.startswith(f"scripts/{SCRIPT}") else line

    def clean(self) -> None:
        """Take all of it away."""
        self.shell.close()
        self.compose.clean()
        docker("image", "rm", "--force", self._names["ghcr.io/tidegate/agent:latest"])
        # a cluster that is set up later would begin with what the tag names here
        docker("image", "rm", "--force", f"{self._lan}/{CHANNEL}", check=False)


@contextmanager
def host(
    tmp_path: Path, compose: Compose, registry: Registry, asked: Sequence[str] = (), **lines: str
) -> Iterator[Host]:
    """One, gone when the block ends."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / SCRIPT, folder / "scripts")
    shutil.copytree(ROOT / "examples", folder / "examples")
    one = Host(folder, compose, registry, asked, **lines)
    try:
        yield one
    finally:
        one.clean()
