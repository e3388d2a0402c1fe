"""The kinds of event that may be asked for are those that are told."""

import ast
from collections.abc import Iterator
from pathlib import Path

import tidegate.manager
from tidegate.manager.telling.kinds import KINDS

AREAS = {one.partition(".")[0] for one in KINDS}
ONLY_IN_THE_AUDIT_LOG = {"agent.enrol", "agent.revoke", "rollout.create"}
MANAGER = Path(tidegate.manager.__file__).parent


def words(path: Path) -> Iterator[str]:
    """Every text in the module that could be a kind of event."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            area, _, what = node.value.partition(".")
            if area in AREAS and what.replace("_", "").isalpha() and what.islower() and what != "html":
                yield node.value


def test_every_kind_that_is_written_down_anywhere_is_listed_and_the_other_way_round() -> None:
    told = [path for path in MANAGER.rglob("*.py") if path.name != "kinds.py"]
    found = {word for path in told for word in words(path)}
    made_up = {one for one in KINDS if one.partition(".")[0] in {"freeze", "window", "rollout"}}
    assert len(found) > 20
    assert found - KINDS - ONLY_IN_THE_AUDIT_LOG == set()
    assert KINDS - found - made_up == set()
