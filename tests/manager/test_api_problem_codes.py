"""The page about the API has every code that a problem may be sent with."""

import ast
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import tidegate.manager
from tidegate.manager.agents import link
from tidegate.manager.api import problems
from tidegate.protocol.problems import Code

MANAGER = Path(tidegate.manager.__file__).parent
PAGE = Path(__file__).parents[2] / "docs/api.md"
ROW = re.compile(r"^\| (\d{3}) \| `([a-z-]+)` \| \S.*\|$", re.MULTILINE)
PASSED_ON = {"error.code", "code"}
"""What is no code of its own: that of an error which is made elsewhere, or the name of a status."""
NEVER = {(403, "undeclared")}
"""A fault of the program's, which does not start with it."""

Sent = tuple[int | None, str]


def sent() -> Iterator[Sent]:
    """Every code that a problem is made with and its status, None where that is known only then."""
    for path in sorted(MANAGER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                yield from made(node.func.id, node.args)


def made(name: str, given: list[ast.expr]) -> Iterator[Sent]:
    match name:
        case "Problem" | "RefusedError" if len(given) > 1:
            yield from ((status(given[0]), code) for code in code_of(given[1]))
        case "conflict":
            yield from ((409, code) for code in code_of(given[0]))
        case "EnrolError":
            yield from ((link._STATUS.get(code, 409), code) for code in code_of(given[0]))
        case _:
            pass


def code_of(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(str() as text):
            yield text
        case ast.Attribute(ast.Name("Code"), name):
            yield str(Code[name])
        case _:
            assert ast.unparse(node) in PASSED_ON, f"{ast.unparse(node)} is no code that can be read here"


def status(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(int() as number):
            return number
        case ast.Attribute(ast.Name("HTTPStatus"), name):
            return int(HTTPStatus[name])
        case ast.Name(name) if isinstance(found := getattr(problems, name, None), HTTPStatus):
            return int(found)
        case _:
            return None


def told() -> set[tuple[int, str]]:
    """The table's statuses and codes."""
    return {(int(number), code) for number, code in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def test_every_code_that_is_sent_is_in_the_table_with_its_status() -> None:
    found, table = set(sent()) - NEVER, told()
    assert len(found) > 30
    codes = {code for _, code in table}
    missing = {one for one in found if (one not in table if one[0] else one[1] not in codes)}
    assert missing == set()


def test_every_code_of_the_table_is_sent() -> None:
    found = set(sent())
    any_status = {code for number, code in found if number is None}
    assert {one for one in told() if one not in found and one[1] not in any_status} == set()
