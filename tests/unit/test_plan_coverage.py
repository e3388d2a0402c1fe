"""The page that says where each line of the plan is names tests that there are."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "plan-coverage.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of every row of the page's tables."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells for cells in found if cells[0] != "the plan says" and set(cells[0]) != {"-"}]


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_no_cell_is_empty_and_every_test_is_there() -> None:
    found = rows()
    assert len(found) > 40
    for cells in found:
        assert len(cells) == 3, cells
        assert all(cells), cells
        named = _TEST.findall(cells[2])
        assert named, cells
        for file, name in named:
            assert name in names_in(file), f"{file} has no test {name}"
