"""The workflow that releases the example's orchestrator, played step by step where its commands need no GitHub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from tests.support.pages import ROOT
from tests.support.pipeline import Pipeline

FILE = ROOT / ".github" / "workflows" / "autonomy-orchestrator-autoupdate.yml"
GITHUBS = "ghcr.io"
_SAID_BY_THE_WORKFLOW = {"IMAGE", "SOURCE", "REGISTRY_USER", "REGISTRY_PASSWORD"}


def play(pipeline: Pipeline, facts: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Run the pipeline's own commands of its jobs, with what the workflow tells each; what each step has printed.

    `facts` are the values of expressions such as `github.sha`; one that is not there fails. The registry is the
    pipeline's, in the place of GitHub's. `folder` is for what steps say to each other.
    """
    workflow: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    known, printed = dict(facts), dict[str, str]()
    bare = replace(pipeline, environ={k: v for k, v in pipeline.environ.items() if k not in _SAID_BY_THE_WORKFLOW})
    for name in ("build", "publish"):
        job = workflow["jobs"][name]
        mine = dict(known)
        for number, step in enumerate(job["steps"]):
            if not step.get("run", "").startswith("scripts/pipeline/"):
                continue
            told = _told(workflow["env"] | job.get("env", {}) | step.get("env", {}), mine)
            assert told["IMAGE"].startswith(f"{GITHUBS}/")
            told["IMAGE"] = told["IMAGE"].replace(GITHUBS, pipeline.registry.address, 1)
            output = folder / f"{name}-{number}"
            printed[f"{name}: {step['run']}"] = bare.play(step["run"], **told, GITHUB_OUTPUT=str(output))
            mine |= {f"steps.{step.get('id')}.outputs.{key}": value for key, value in _outputs(output).items()}
        outputs = _told(job.get("outputs", {}), mine)
        known |= {f"needs.{name}.outputs.{key}": value for key, value in outputs.items()}
    return printed


def _told(values: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, str]:
    return {
        name: re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: facts[found[1]], value) for name, value in values.items()
    }


def _outputs(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines)
