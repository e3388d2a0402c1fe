"""Which container the agent takes for its own."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.agent.whoami import own_container
from tidegate.engine import parse
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container, ContainerSummary

WEB, AGENT = "a" * 64, "b" * 64


class Engine:
    """Has a service, and an agent that lives in the service's network."""

    def __init__(self, labels: dict[str, str], **roots: str) -> None:
        self._labels, self._roots = {AGENT: labels}, {WEB: roots.get("web"), AGENT: roots.get("agent")}

    async def container(self, ref: str) -> Container:
        if ref not in self._roots:
            raise NotFoundError(ref)
        document: dict[str, Any] = {"Id": ref, "Name": f"/{ref[0]}", "State": {}, "Config": {}}
        document["Config"]["Labels"] = self._labels.get(ref)
        document["GraphDriver"] = {"Data": {"UpperDir": self._roots[ref]} if self._roots[ref] else None}
        return parse.container(document)

    async def containers(self, *, running_only: bool) -> list[ContainerSummary]:
        assert running_only
        modes = {WEB: "shop_default", AGENT: f"container:{WEB}"}
        return [ContainerSummary(one, one[0], "", "", "running", {}, mode) for one, mode in modes.items()]


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    """What a process of a container in the service's network sees, whose own file system is `diff-agent`."""
    lines = [
        "613 520 0:94 / / rw,relatime - overlay overlay rw,lowerdir=/l/1:/l/2,upperdir=/o/agent/diff,workdir=/o/w",
        "621 613 0:94 / /host/web rw,relatime - overlay overlay rw,lowerdir=/l/1,upperdir=/o/web/diff,workdir=/o/v",
        f"628 613 8:1 /var/lib/docker/containers/{WEB}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw",
    ]
    path = tmp_path / "mountinfo"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    "engine",
    [
        Engine({}, web="/o/web/diff", agent="/o/agent/diff"),
        Engine({"tidegate.instance": "true"}),
    ],
    ids=["by its root file system", "by its image's label"],
)
async def test_an_agent_in_anothers_network_is_not_that_other_one(engine: Engine, mountinfo: Path) -> None:
    assert await own_container(engine, mountinfo) == AGENT  # type: ignore[arg-type]


async def test_a_container_whose_network_others_live_in_is_itself(mountinfo: Path) -> None:
    mountinfo.write_text(mountinfo.read_text().replace("/o/agent/diff", "/o/elsewhere/diff"))
    assert await own_container(Engine({}), mountinfo) == WEB  # type: ignore[arg-type]


async def test_a_container_of_another_engine_is_nobody_here(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(f"1 1 8:1 /docker/containers/{'c' * 64}/hosts /etc/hosts rw - ext4 / rw")
    assert await own_container(Engine({}), tmp_path / "mountinfo") is None  # type: ignore[arg-type]
