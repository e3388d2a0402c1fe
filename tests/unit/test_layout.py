"""Rules that hold for the whole project."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = sorted((ROOT / "src/tidegate/domain").glob("**/*.py"))
LOCKS = sorted(ROOT.glob("requirements*.txt"))
GROUND = [ROOT / "scripts/ground.py", *sorted((ROOT / "scripts/groundwork").glob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def foreign(path: Path, own: str) -> list[str]:
    """What a file imports beyond the standard library and the package `own`."""
    return [
        name
        for name in imported(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not f"{name}.".startswith(f"{own}.")
    ]


@pytest.mark.parametrize("path", DOMAIN, ids=lambda p: p.stem)
def test_the_domain_imports_only_the_standard_library_and_itself(path: Path) -> None:
    assert foreign(path, "tidegate.domain") == []


@pytest.mark.parametrize("path", DOMAIN, ids=lambda p: p.stem)
def test_the_domain_does_no_input_or_output_and_waits_for_nothing(path: Path) -> None:
    forbidden = {"asyncio", "os", "socket", "subprocess", "threading", "time", "random", "secrets", "uuid"}
    assert forbidden.isdisjoint(name.split(".")[0] for name in imported(path))


@pytest.mark.parametrize("path", GROUND, ids=lambda p: p.stem)
def test_the_ground_runs_with_a_bare_python(path: Path) -> None:
    assert foreign(path, "groundwork") == []


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.name)
def test_a_lock_file_names_no_address_and_no_option(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*-(?!-hash)|\bfile:|@ ", text, re.MULTILINE)


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.name)
def test_every_locked_package_has_a_hash(path: Path) -> None:
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    packages = re.split(r"\n(?=\S)", text.strip())
    assert packages
    assert [p.split()[0] for p in packages if "--hash=sha256:" not in p] == []


def test_there_is_a_lock_file_for_the_agent_one_for_the_manager_and_one_for_developers() -> None:
    packages = {
        path.name: set(re.findall(r"^(\S+==\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)) for path in LOCKS
    }
    assert list(packages) == ["requirements-dev.txt", "requirements-manager.txt", "requirements.txt"]
    assert packages["requirements.txt"] < packages["requirements-manager.txt"] < packages["requirements-dev.txt"]
