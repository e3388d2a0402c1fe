"""What a real manager is told by people, a real Watchtower does; and of its trouble the manager's people are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.conftest import Push
from tests.support import features, watchtower
from tests.support.agent import environment
from tests.support.compose import Compose
from tests.support.features import image_of
from tests.support.images import Pushed
from tests.support.pages import ROOT
from tests.support.site import NEVER, Site, site_of
from tests.support.waiting import wait_for
from tests.support.watchtower_cluster import free_port

from tidegate.agent.watchtower.client import image_key

LIMIT_S = 180
RULES = {"mode": "automatic", "waves": [], "soak": "500ms", "healthy_for": "500ms", "healthy_deadline": "30s"}
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def site(compose: Compose, push: Push, watchtowers_image: Pushed, tmp_path: Path) -> Iterator[Site]:
    """One with Watchtower as the updater."""
    with site_of(compose, push("1", healthcheck=True), tmp_path, **watchtower.followed(compose.project)) as one:
        document = json.loads(compose.file.read_text(encoding="utf-8"))
        document["services"]["watchtower"] = watchtower.service(watchtowers_image, compose.project)
        compose.write(document)
        compose.up()
        url = f"http://{compose.address('watchtower', 8080)}"
        watchtower.wait_for(url)
        one.environ |= {"TIDEGATE_UPDATE_ENGINE": "watchtower", "TIDEGATE_WATCHTOWER": url}
        one.environ |= {"TIDEGATE_WATCHTOWER_TOKEN": watchtower.TOKEN, "WATCHTOWER_SCOPE": compose.project}
        yield one


def test_what_people_tell_the_manager_is_done_by_watchtower_and_its_trouble_is_an_alert(site: Site, push: Push) -> None:
    ann, cluster = site.ann, site.cluster
    agent = site.agent_until(NEVER)
    try:
        wait_for(lambda: ann.items("/targets"), "the cluster is known", limit_s=LIMIT_S)
        (channel,) = ann.items("/channels")
        ann.set_rules(channel["id"], RULES)
        release = push("2", healthcheck=True)
        wait_for(lambda: ann.rollout(release.digest).get("state") == "completed", "it is out", limit_s=LIMIT_S)
        assert (image_of(cluster, "web"), "Found new" in cluster.run("logs", "watchtower").stdout) == (
            release.image_id,
            True,
        )
        (target,) = ann.items("/targets")
        ann("POST", f"/targets/{target['name']}/rollback", {"reason": "errors since noon"})
        wait_for(lambda: ann.rollout(site.first.digest).get("state") == "completed", "it is back", limit_s=LIMIT_S)
        assert image_of(cluster, "web") == site.first.image_id
        cluster.run("stop", "watchtower")
        told = "updater_trouble"
        wait_for(lambda: told in [one["rule"] for one in ann.items("/alerts?open=true")], "it is told", limit_s=LIMIT_S)
    finally:
        agent.terminate()
        agent.communicate(timeout=LIMIT_S)


def test_a_scan_that_failed_is_counted_on_the_host_on_the_manager_and_for_prometheus(
    site: Site, push: Push, tmp_path: Path
) -> None:
    """Somebody else had Watchtower look; of one of its containers the folder has vanished."""
    ann, cluster, folder = site.ann, site.cluster, tmp_path / "mounted"
    folder.mkdir()
    document = json.loads(cluster.file.read_text(encoding="utf-8"))
    document["services"]["frail"] = frail(push("1", tag="frail"), cluster.project, folder)
    cluster.write(document)
    cluster.up()
    metrics = f"127.0.0.1:{free_port()}"
    site.environ |= {"TIDEGATE_HTTP_API_METRICS": "true", "TIDEGATE_HTTP_API_TOKEN": "metrics-token"}
    site.environ |= {"TIDEGATE_HTTP_LISTEN": metrics}
    agent = site.agent_until(NEVER)
    try:
        wait_for(lambda: len(ann.items("/targets")) == 2, "the cluster is known", limit_s=LIMIT_S)
        (name,) = [one["name"] for one in ann.items("/clusters")]
        wait_for(lambda: ann("GET", f"/clusters/{name}")["updater"], "it is counted", limit_s=LIMIT_S)
        assert ann("GET", f"/clusters/{name}")["updater"]["scans"] == 0
        new = push("2", tag="frail")
        folder.rmdir()
        told_to_look(site.environ["TIDEGATE_WATCHTOWER"], new.reference)
        wait_for(lambda: ann("GET", f"/clusters/{name}")["updater"]["scans"] == 1, "it is told", limit_s=LIMIT_S)
        counts = {"scanned": 2, "updated": 0, "failed": 1, "scans": 1}
        assert [ann("GET", path)["updater"] for path in (f"/clusters/{name}", "/agents/berlin1")] == [counts] * 2
        wait_for(lambda: troubles(site), "it is an alert", limit_s=LIMIT_S)
        assert "counts 1 failed in its last scan" in troubles(site)[0]
        (row,) = json.loads(status(site, "--json"))
        assert row["updater"].items() >= counts.items()
        assert "Updater: Watchtower, last scan: 2 scanned, 0 updated, 1 failed; Watchtower counts 1" in status(site)
        assert "\ntidegate_watchtower_containers_failed 1\n" in asked(f"http://{metrics}/v1/metrics", "metrics-token")
    finally:
        agent.terminate()
        agent.communicate(timeout=LIMIT_S)


def troubles(site: Site) -> list[str]:
    """What the manager's open alerts say of Watchtower."""
    return [one["text"] for one in site.ann.items("/alerts?open=true") if one["rule"] == "updater_trouble"]


def frail(image: Pushed, scope: str, folder: Path) -> dict[str, Any]:
    """A service that cannot be made anew without this folder."""
    bind = {"type": "bind", "source": str(folder), "target": "/mounted", "bind": {"create_host_path": False}}
    return features.one(image, labels=watchtower.followed(scope), volumes=[bind])


def told_to_look(url: str, image: str) -> None:
    """Have Watchtower update what has this image, by somebody who is no agent."""
    headers = {"Authorization": f"Bearer {watchtower.TOKEN}"}
    requests.post(
        f"{url}/v1/update", params={"image": image_key(image)}, headers=headers, timeout=60
    ).raise_for_status()


def asked(url: str, token: str) -> str:
    """What answers there."""
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    answer.raise_for_status()
    return answer.text


def status(site: Site, *more: str) -> str:
    """What the agent's own command says on its host."""
    env = {"PATH": os.environ["PATH"], **environment(site.state, WATCHTOWER_LABEL_ENABLE="true", **site.environ)}
    command = [sys.executable, "-m", "tidegate", "agent", "status", *more]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
