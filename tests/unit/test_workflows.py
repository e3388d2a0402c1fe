"""The workflows: linted, pinned, with the least that each job needs, and made of commands that there are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from tests.support.absent import cannot
from tests.support.pages import ROOT

from groundwork import actionlint
from groundwork.paths import GroundError

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
AUTONOMY, RELEASE, TEST = "autonomy-orchestrator-autoupdate.yml", "release.yml", "test.yml"

# Everything that a job may do beyond reading the repository.
WRITES = {
    (AUTONOMY, "build"): {"id-token", "packages"},
    (AUTONOMY, "publish"): {"packages"},
    (RELEASE, "images"): {"id-token", "packages"},
    (RELEASE, "pypi"): {"id-token"},
    (RELEASE, "publish"): {"packages"},
}
FAULTY = """
on: pull_request_target
permissions: write-all
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: echo ${{ github.event.pull_request.title }} ${{ nonsense.x }}
"""

SHARED = {
    "IMAGE": "ghcr.io/${{ github.repository_owner }}/orchestrator",
    "CHANNEL": "autonomy-latest",
    "REVISION": "${{ github.sha }}",
    "SOURCE": "${{ github.server_url }}/${{ github.repository }}",
}
LOGIN = {"REGISTRY_USER": "${{ github.actor }}", "REGISTRY_PASSWORD": "${{ github.token }}"}
BUILT = {"DIGEST": "${{ steps.build.outputs.digest }}"}
SIGNED_BY = {
    "IDENTITY": "${{ github.server_url }}/${{ github.workflow_ref }}",
    "ISSUER": "https://token.actions.githubusercontent.com",
}
# What each command of the release of the example's orchestrator is told besides `SHARED`, by its first word or two.
TOLD = {
    ("build", "scripts/pipeline/login"): LOGIN,
    ("build", "scripts/pipeline/build"): {"CONTEXT": "examples/autonomy/orchestrator"},
    ("build", "cosign sign"): BUILT,
    ("build", "cosign verify"): BUILT | SIGNED_BY,
    ("publish", "scripts/pipeline/login"): LOGIN,
    ("publish", "scripts/pipeline/publish"): {
        "DIGEST": "${{ needs.build.outputs.digest }}",
        "MANAGER_URL": "${{ vars.TIDEGATE_MANAGER_URL }}",
        "TIDEGATE_WEBHOOK_SECRET": "${{ secrets.TIDEGATE_WEBHOOK_SECRET }}",
    },
}

Job = tuple[str, str, dict[str, Any]]


def document(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def jobs() -> list[Job]:
    return [(file.name, name, job) for file in FILES for name, job in document(file)["jobs"].items()]


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for file, name, job in jobs():
        for step in job.get("steps", ()):
            yield f"{file}: {name}", step


def runs() -> list[tuple[str, str]]:
    return [(where, step["run"]) for where, step in steps() if "run" in step]


def linted(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def actionlint_program() -> str:
    try:
        actionlint.fetch()
    except GroundError as error:
        cannot(str(error))
    return str(actionlint.PROGRAM)


def zizmor(*files: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("zizmor"))
    return linted(program, "--offline", "--no-progress", "--quiet", "--config", ".github/zizmor.yml", *files)


def test_there_are_the_workflows_of_the_plan() -> None:
    assert {file.name for file in FILES} == {AUTONOMY, RELEASE, TEST}


def test_actionlint_finds_nothing(actionlint_program: str) -> None:
    done = linted(actionlint_program, "-no-color", *map(str, FILES))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_zizmor_finds_nothing() -> None:
    done = zizmor(*map(str, FILES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_would_find_something(tmp_path: Path, actionlint_program: str) -> None:
    file = tmp_path / ".github" / "workflows" / "faulty.yml"
    file.parent.mkdir(parents=True)
    file.write_text(FAULTY, encoding="utf-8")
    assert "nonsense" in linted(actionlint_program, "-no-color", str(file)).stdout
    found = zizmor(str(file)).stdout
    assert all(rule in found for rule in ("unpinned-uses", "template-injection", "dangerous-triggers"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(file: Path) -> None:
    used = re.findall(r"^\s*-?\s*uses:\s*(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    good = r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
    assert [one for one in used if not one.startswith("./") and not re.fullmatch(good, one)] == []


def test_an_action_has_one_commit_everywhere() -> None:
    used = {tuple(step["uses"].split("@")) for _, step in steps() if "uses" in step}
    assert len(used) == len({name for name, _ in used})


def test_every_image_that_a_job_runs_in_is_pinned_by_its_digest() -> None:
    images = [job["container"]["image"] for _, _, job in jobs() if "container" in job]
    assert images
    assert [image for image in images if not re.search(r"@sha256:[0-9a-f]{64}$", image)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_workflow_may_do_nothing_but_what_its_jobs_say(file: Path) -> None:
    assert document(file)["permissions"] == {}


def test_a_job_may_write_only_what_it_is_there_to_write() -> None:
    for file, name, job in jobs():
        may = job["permissions"]
        assert set(may.values()) <= {"read", "write"}
        assert {what for what, how in may.items() if how == "write"} == WRITES.get((file, name), set())
        assert {what for what, how in may.items() if how == "read"} <= {"contents"}


def test_every_job_has_an_end() -> None:
    endless = [(file, name) for file, name, job in jobs() if "uses" not in job and not job.get("timeout-minutes")]
    assert endless == []


def test_releases_are_made_one_after_the_other_and_never_cut() -> None:
    for name in (AUTONOMY, RELEASE):
        group = document(FOLDER / name)["concurrency"]
        assert ("${{" in group["group"], group["cancel-in-progress"]) == (False, False)


def test_no_checkout_keeps_its_token() -> None:
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_of_an_event_and_no_secret_becomes_part_of_a_command() -> None:
    assert [where for where, command in runs() if "${{" in command] == []


def test_secrets_are_given_to_the_step_that_needs_them_alone() -> None:
    for file in FILES:
        shared = [document(file).get("env", {}), *(job.get("env", {}) for _, job in document(file)["jobs"].items())]
        assert "secrets." not in str(shared)
        assert "github.token" not in str(shared)
    given = {name for _, step in steps() for name, value in step.get("env", {}).items() if "secrets." in str(value)}
    assert given == {"TIDEGATE_WEBHOOK_SECRET"}


def test_no_command_prints_a_secret_or_has_one_among_its_words() -> None:
    texts = [command for _, command in runs()]
    texts += [file.read_text(encoding="utf-8") for file in (ROOT / "scripts" / "pipeline").iterdir()]
    login = 'printf %s "$REGISTRY_PASSWORD" | docker login --username "$REGISTRY_USER" --password-stdin'
    named = re.compile(r"^(?!\s*#).*\$\{?(REGISTRY_PASSWORD|TIDEGATE_WEBHOOK_SECRET).*$", re.MULTILINE)
    lines = [found[0] for text in texts for found in named.finditer(text)]
    assert lines == [f'{login} "${{IMAGE%%/*}}"']
    assert not any(re.search(r"set -\w*x|xtrace", text) for text in texts)


def test_every_program_of_ours_that_a_workflow_runs_is_there() -> None:
    words = {word for _, command in runs() for word in shlex.split(command, comments=True)}
    ours = {word for word in words if re.match(r"(scripts|tests|\.ci)/", word)}
    assert {"scripts/pipeline/build", "scripts/pipeline/publish", ".ci/run"} <= ours
    assert [word for word in ours if not (ROOT / word).exists()] == []
    programs = [ROOT / word for word in ours if "pipeline" in word or word == ".ci/run"]
    assert all(program.stat().st_mode & 0o111 for program in programs)


def test_every_target_of_make_that_a_workflow_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [re.findall(r"\bmake((?: [a-z-]+)+)", command) for _, command in runs() if "apt-get" not in command]
    wanted = {word for lines in named for line in lines for word in line.split()}
    assert {"lint", "test-unit", "package"} <= wanted <= targets


def test_a_push_that_changes_the_image_makes_a_release() -> None:
    workflow: dict[Any, Any] = document(FOLDER / AUTONOMY)
    paths = workflow[True]["push"]["paths"]  # YAML reads `on` as true
    (build,) = [step for step in workflow["jobs"]["build"]["steps"] if step.get("id") == "build"]
    assert f"{build['env']['CONTEXT']}/**" in paths
    assert [path for path in paths if not (ROOT / path.removesuffix("/**")).exists()] == []


def test_only_the_main_branch_makes_a_release() -> None:
    """Also by hand, where a person names the branch; all other jobs wait for the one that asks."""
    workflow: dict[Any, Any] = document(FOLDER / AUTONOMY)
    assert workflow[True]["push"]["branches"] == ["main"]
    assert set(workflow[True]) == {"push", "workflow_dispatch"}
    first = [name for name, job in workflow["jobs"].items() if "needs" not in job]
    assert {name: workflow["jobs"][name].get("if") for name in first} == {"test": "github.ref == 'refs/heads/main'"}
    assert [name for name, job in workflow["jobs"].items() if "always()" in str(job.get("if"))] == []


@pytest.mark.parametrize(("file", "before"), [(AUTONOMY, {"test", "build"}), (RELEASE, {"test", "images", "pypi"})])
def test_tags_are_set_after_everything_else(file: str, before: set[str]) -> None:
    found = document(FOLDER / file)["jobs"]
    waited: set[str] = set()
    waiting = ["publish"]
    while waiting:
        needs = found[waiting.pop()].get("needs", [])
        new = {needs} if isinstance(needs, str) else set(needs)
        waiting += new - waited
        waited |= new
    assert before <= waited
    assert not any("publish" in str(job.get("needs", "")) for name, job in found.items() if name != "publish")


@pytest.mark.parametrize(("file", "job"), [(AUTONOMY, "build"), (RELEASE, "images")])
def test_what_is_built_is_signed_before_it_has_a_tag_and_what_was_found_has_to_be_signed_already(
    file: str, job: str
) -> None:
    steps_of = document(FOLDER / file)["jobs"][job]["steps"]
    made, signs, verifies = (
        [place for place, step in enumerate(steps_of) if step.get("run", "").startswith(words)]
        for words in ("scripts/pipeline/build", "cosign sign ", "cosign verify ")
    )
    assert (len(made), len(signs), len(verifies)) == (1, 1, 1)
    assert made < signs < verifies
    sign, verify = steps_of[signs[0]], steps_of[verifies[0]]
    assert sign["if"] == "steps.build.outputs.built == 'true'"
    assert verify["if"] == sign["if"].replace("==", "!=")
    image, whose = "${IMAGE,,}@$DIGEST", ["--certificate-identity", "$IDENTITY", "--certificate-oidc-issuer", "$ISSUER"]
    assert shlex.split(sign["run"]) == ["cosign", "sign", "--yes", image]  # and so without a key
    assert shlex.split(verify["run"]) == ["cosign", "verify", *whose, image]
    assert sign["env"] == BUILT
    assert verify["env"] == sign["env"] | SIGNED_BY
    assert not any(step.get("continue-on-error") for step in steps_of)


def test_each_command_of_the_orchestrators_release_is_told_what_it_needs() -> None:
    """Its jobs share nothing of their own, and the digest that one makes is the one that the other publishes."""
    found = document(FOLDER / AUTONOMY)
    assert found["env"] == SHARED
    assert [name for name, job in found["jobs"].items() if "env" in job] == []
    assert found["jobs"]["build"]["outputs"] == {"digest": BUILT["DIGEST"]}
    told = [
        ((name, command_of(step)), step.get("env", {}))
        for name, job in found["jobs"].items()
        for step in job["steps"]
        if (name, command_of(step)) in TOLD or "env" in step
    ]
    assert (len(told), dict(told)) == (len(TOLD), TOLD)


def command_of(step: dict[str, Any]) -> str:
    """The first word of what a step runs; of cosign the second as well."""
    words = step.get("run", "").split()
    return " ".join(words[: 2 if words[:1] == ["cosign"] else 1])


def test_what_the_orchestrators_release_is_published_as_is_what_the_example_follows() -> None:
    shared = document(FOLDER / AUTONOMY)["env"]
    cluster = yaml.safe_load((ROOT / "examples/autonomy/docker-compose.yml").read_text(encoding="utf-8"))
    image = shared["IMAGE"].replace("${{ github.repository_owner }}", "acme")
    followed = cluster["services"]["orchestrator"]["image"]
    assert followed == f"${{ORCHESTRATOR_IMAGE:-{image}:{shared['CHANNEL']}}}"


def test_the_channel_of_a_release_is_asked_of_all_tags() -> None:
    found = document(FOLDER / RELEASE)
    steps_of = found["jobs"]["version"]["steps"]
    assert [step["with"]["fetch-depth"] for step in steps_of if "checkout" in step.get("uses", "")] == [0]
    assert "scripts/pipeline/channel" in [step.get("run") for step in steps_of]
    channels = [found["jobs"][job]["env"]["CHANNEL"] for job in ("images", "publish")]
    assert channels == ["${{ needs.version.outputs.channel }}"] * 2
    assert "CHANNEL" not in found["env"]


def test_the_unit_tests_run_on_every_python_that_is_supported() -> None:
    pythons = document(FOLDER / TEST)["jobs"]["unit"]["strategy"]["matrix"]["python"]
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert oldest
    assert pythons[0] == oldest[1]
    assert [int(one.partition(".")[2]) for one in pythons] == list(range(11, 11 + len(pythons)))
