"""What is not signed as the operator's policy asks is not pulled; signed with the real cosign, in a real registry."""

from __future__ import annotations

import base64
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.absent import PRIVATE, cannot
from tests.support.agent import in_thread
from tests.support.compose import Compose
from tests.support.cosign import Signer, copy_signature, cosign, docker_config, in_place_of_cosign, policy
from tests.support.docker import docker
from tests.support.features import at_work, image_of, one, services, until
from tests.support.images import ARCHITECTURE, Pushed
from tests.support.pages import blocks
from tests.support.registry import MANIFEST, MANIFEST_LIST, Registry
from tests.support.signed import Stage, impatient, let_in, pulled, refusal

GROUP = {"tidegate.group": "stack"}
TOLD = "a release is not verified; what runs stays"


@pytest.fixture(scope="session")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Whose signature the policy asks for."""
    return Signer.new(tmp_path_factory.mktemp("acme") / "keys")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Somebody else."""
    return Signer.new(tmp_path_factory.mktemp("stranger") / "keys")


@pytest.fixture
def stage(compose: Compose, registry: Registry, repository: str, tmp_path: Path, acme: Signer) -> Stage:
    return Stage(compose, registry, repository, tmp_path, acme)


async def test_a_release_that_is_signed_is_rolled_in(stage: Stage, acme: Signer) -> None:
    stage.start()
    new = stage.push("2")
    acme.sign(new)
    async with stage.agent() as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    assert stage.runs(new)


async def test_one_that_is_not_is_told_once_and_neither_pulled_nor_begun(stage: Stage) -> None:
    before = stage.start(labels={"tidegate.hook.pre-update": "touch /tmp/hook"})
    new = stage.push("2")
    async with stage.agent() as here:
        with capture_logs() as logs:
            assert "it has no signature" in await refusal(here)
            assert "it has no signature" in await refusal(here)
        assert [entry["log_level"] for entry in logs if entry["event"] == TOLD] == ["warning"]
        assert (stage.stays(before, new), here.outcomes()) == (True, ["unverified"])
    docker("exec", before, "sh", "-c", "! test -e /tmp/hook")


async def test_one_that_is_signed_soon_after_its_push_is_rolled_in_by_itself(stage: Stage, acme: Signer) -> None:
    stage.start()
    new = stage.push("2")
    async with stage.agent() as here, at_work(here, busy_retry_s=0.5):
        await until(lambda: here.outcomes() == ["unverified"], "it has asked once", limit_s=120)
        await in_thread(acme.sign, new)
        await until(lambda: here.outcomes() == ["unverified", "committed"], "the update is committed", limit_s=120)
    assert stage.runs(new)


async def test_one_that_somebody_else_has_signed_is_refused_unless_a_rule_names_them_too(
    stage: Stage, acme: Signer, stranger: Signer
) -> None:
    before = stage.start()
    new = stage.push("2")
    stranger.sign(new)
    rules = policy(stage.folder, (f"{stage.registry}/*", acme))
    async with stage.agent(rules) as here:
        said = await refusal(here)
    assert "none of its signatures satisfies the rule" in said
    assert f"(asked for: the key {acme.key}); rule {stage.registry}/* of {rules}" in said
    assert stage.stays(before, new)
    both = policy(stage.folder, (f"{stage.registry}/*", acme), (f"{stage.registry}/*", stranger))
    async with stage.agent(both) as here:
        assert await let_in(here) == new.image_id


async def test_a_signature_that_was_copied_from_another_repository_is_refused(stage: Stage, acme: Signer) -> None:
    before = stage.start()
    elsewhere = stage.push("2", beside="-elsewhere")
    acme.sign(elsewhere)
    new = stage.push("2")
    assert new.digest == elsewhere.digest
    copy_signature(stage.registry, new, f"{stage.repository}-elsewhere", stage.repository)
    async with stage.agent() as here:
        said = await refusal(here)
    assert f"its signature was made for {stage.name}-elsewhere, not for {stage.name}" in said
    assert stage.stays(before, new)


async def test_a_signature_may_name_a_repository_by_another_name_of_its_registry(stage: Stage, acme: Signer) -> None:
    stage.start()
    new = stage.push("2")
    acme.sign(new, "--sign-container-identity=registry.test/app")
    async with stage.agent() as here:
        assert "its signature was made for registry.test/app" in await refusal(here)
        acme.sign(new, f"--sign-container-identity={stage.name}:2")
        assert await let_in(here) == new.image_id


async def test_of_several_platforms_the_index_is_what_is_signed(stage: Stage, acme: Signer) -> None:
    stage.start()
    own = stage.push("2", tag="own")
    index = in_an_index(stage, own)
    acme.sign(own)
    async with stage.agent() as here:
        assert "it has no signature" in await refusal(here)
        acme.sign(index)
        assert await let_in(here) == own.image_id


def in_an_index(stage: Stage, own: Pushed) -> Pushed:
    """Let `latest` be an index that lists an image for this platform."""
    path = f"/v2/{stage.repository}/manifests/{own.digest}"
    size = len(stage.registry.request("GET", path, headers={"Accept": MANIFEST})[2])
    platform = {"os": "linux", "architecture": ARCHITECTURE}
    entry = {"mediaType": MANIFEST, "digest": own.digest, "size": size, "platform": platform}
    document = {"schemaVersion": 2, "mediaType": MANIFEST_LIST, "manifests": [entry]}
    digest = stage.registry.put_manifest(stage.repository, "latest", document)
    return Pushed(f"{stage.name}:latest", digest, own.image_id)


@pytest.mark.parametrize("how", ["DOCKER_CONFIG", "REPO_USER and REPO_PASS"])
async def test_a_registry_with_a_password_is_shown_the_agents_account(
    stage: Stage, password_registry: Registry, acme: Signer, how: str
) -> None:
    stage.registry, user, password = password_registry, password_registry.user, password_registry.password
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    config = str(docker_config(stage.folder / "docker", {password_registry.address: token}))
    docker("--config", config, "pull", "-q", stage.push("1").reference)
    stage.start()
    new = stage.push("2")
    acme.sign(new, DOCKER_CONFIG=config)
    given = {"DOCKER_CONFIG": config} if how == "DOCKER_CONFIG" else {"REPO_USER": user, "REPO_PASS": password}
    with capture_logs() as logs:
        async with stage.agent(**given) as here:
            assert await let_in(here) == new.image_id
    assert password not in str(logs)


async def test_a_registry_with_an_authority_of_its_own_is_trusted_by_it(
    stage: Stage, tls_registry: Registry, acme: Signer
) -> None:
    if not tls_registry.engine_address:
        cannot(f"this engine's trusted certificates are not ours to change: {PRIVATE}")
    stage.registry = tls_registry
    stage.start()
    new = stage.push("2")
    acme.sign(new, f"--registry-cacert={tls_registry.ca}")
    async with stage.agent(TIDEGATE_REGISTRY_CA=str(tls_registry.ca)) as here:
        assert await let_in(here) == new.image_id


async def test_a_registry_without_tls_is_asked_if_it_is_listed_as_insecure(stage: Stage, acme: Signer) -> None:
    if "GROUND_REGISTRY_LAN" not in os.environ:
        cannot(f"this registry has an address of this machine only: {PRIVATE}")
    lan = os.environ["GROUND_REGISTRY_LAN"]
    stage.registry = replace(stage.registry, engine_address=lan)
    stage.start()
    new = stage.push("2")
    acme.sign(new, "--allow-http-registry")
    async with stage.agent(TIDEGATE_INSECURE_REGISTRIES=lan) as here:
        assert await let_in(here) == new.image_id


async def test_without_a_cosign_that_answers_the_rest_of_the_cluster_goes_on(stage: Stage, acme: Signer) -> None:
    stage.compose.write(services(web=one(stage.push("1")), free=one(stage.push("1", beside="-free"))))
    stage.compose.up()
    before = stage.compose.container("web")["Id"]
    new, free = stage.push("2"), stage.push("3", beside="-free")
    async with stage.agent(policy(stage.folder, (stage.name, acme), unlisted="allow")) as here:
        impatient(here)
        with in_place_of_cosign(stage.folder / "none", None):
            await here.look()
        assert sorted(here.outcomes()) == ["committed", "unverified"]
        with in_place_of_cosign(stage.folder / "hangs", "sleep 300"):
            await here.look()
        missing, hanging = (one["reason"] for one in here.parts.state.history.tail(9) if one["service"] == "web")
    assert "cosign cannot be run (No such file or directory): install it" in missing
    assert "cosign did not answer within 0.3 s" in hanging
    assert "\n" not in missing + hanging
    assert image_of(stage.compose, "free") == free.image_id
    assert stage.stays(before, new)


async def test_of_a_group_nothing_is_pulled_while_one_is_not_signed(stage: Stage, acme: Signer) -> None:
    web, api = (one(stage.push("1", beside=end), labels=GROUP) for end in ("", "-api"))
    stage.compose.write(services(web=web, api=api))
    stage.compose.up()
    new, other = stage.push("2"), stage.push("3", beside="-api")
    acme.sign(new)
    async with stage.agent() as here:
        await here.look()
        assert here.outcomes() == ["unverified", "unverified"]
        assert [pulled(image) for image in (new, other)] == [False, False]
        acme.sign(other)
        await let_in(here)
        assert [pulled(image) for image in (new, other)] == [True, True]


async def test_an_image_that_is_not_pulled_is_refused_under_a_rule_whatever_its_label_says(
    stage: Stage, acme: Signer
) -> None:
    before = stage.start(labels={"tidegate.no-pull": "true"})
    new = stage.push("2")
    acme.sign(new)
    docker("pull", "-q", new.reference)
    async with stage.agent() as here:
        assert "it is taken from the engine (no-pull is set, or it was built here)" in await refusal(here)
    assert stage.compose.container("web")["Id"] == before


async def test_a_rollback_needs_no_signature_of_what_ran_before_but_of_anything_else(
    stage: Stage, acme: Signer
) -> None:
    stage.start()
    old = image_of(stage.compose, "web")
    new, other = stage.push("2"), stage.push("3", tag="other")
    acme.sign(new)
    wish = {"verb": "rollback", "cluster": stage.compose.project, "service": "web"}
    async with stage.agent() as here:
        await here.look()
        refused = await here.agent.roll_back({**wish, "to": other.digest})
        assert not refused.ok
        assert "/web was not rolled back: " in refused.message
        assert "it has no signature" in refused.message
        assert stage.runs(new)
        assert not pulled(other)
        done = await here.agent.roll_back({**wish, "to": None})
        assert done.ok, done.message
    assert image_of(stage.compose, "web") == old


async def test_the_agents_own_image_is_held_to_the_policy_too(stage: Stage) -> None:
    before = stage.start()
    new = stage.push("2")
    async with stage.agent() as here:
        here.parts.own = before
        assert "it has no signature" in await refusal(here)
        assert "it has no signature" in await refusal(here)
        assert here.outcomes() == ["unverified"]
    assert stage.stays(before, new)


async def test_the_commands_and_the_policy_of_the_page_fit_together(stage: Stage) -> None:
    stage.start()
    new = stage.push("2")
    lines = [line for block in blocks("sh") for line in block.text.splitlines() if line.startswith("cosign ")]
    for line in lines:
        words = shlex.split(re.sub(r"ghcr.io/acme/web@\S+", new.pinned, line))
        cosign(*words[1:], cwd=stage.folder)
    (shown,) = [block.text for block in blocks("toml") if block.page == "operations.md"]
    rules = stage.folder / "signatures.toml"
    rules.write_text(shown.replace("ghcr.io/acme/*", f"{stage.registry}/*"), encoding="utf-8")
    async with stage.agent(rules) as here:
        assert await let_in(here) == new.image_id
