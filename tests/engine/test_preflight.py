"""What is looked at between the pull and the first step: the platform, and what changes in the image's config."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import one, services
from tests.support.images import ARCHITECTURE

ELSEWHERE = "arm64" if ARCHITECTURE == "amd64" else "amd64"


async def test_an_image_for_another_platform_is_refused_and_what_runs_goes_on(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"), labels={"tidegate.no-pull": "true"})))
    compose.up()
    before = compose.container("web")
    foreign = push("2", architecture=ELSEWHERE)
    docker("pull", "--quiet", "--platform", f"linux/{ELSEWHERE}", foreign.reference)
    async with agent_here(tmp_path / "state") as here:
        looked = await here.look()
        assert (here.last()["outcome"], looked.tally.failed) == ("failed", 1)
        assert f"is for linux/{ELSEWHERE}, what runs is for linux/{ARCHITECTURE}" in here.last()["reason"]
        assert here.parts.state.quarantine.list() == []
    after = compose.container("web")
    assert (after["Id"], after["State"]["Running"]) == (before["Id"], True)


async def test_an_update_tells_what_changes_in_the_image(compose: Compose, push: Push, tmp_path: Path) -> None:
    compose.write(services(web=one(push("1", env={"MODE": "plain"}))))
    compose.up()
    push("2", env={"MODE": "fancy"}, ports=(8000, 9000))
    with capture_logs() as logs:
        async with agent_here(tmp_path / "state") as here:
            await here.look()
            assert here.outcomes() == ["committed"]
    changes = {line["field"]: (line["old"], line["new"]) for line in logs if line["event"] == "image changes"}
    assert changes == {
        "version": ("1", "2"),
        "env VERSION": ("1", "2"),
        "env MODE": ("plain", "fancy"),
        "ports": ("8000/tcp", "8000/tcp 9000/tcp"),
    }
