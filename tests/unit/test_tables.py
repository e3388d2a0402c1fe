"""Tables on a narrow terminal: whole where they fit, else each row as a few lines."""

import pytest

from tidegate.cli.tables import print_table


def _printed(
    capsys: pytest.CaptureFixture[str], head: tuple[str, ...], *rows: tuple[object, ...], empty: str = ""
) -> list[str]:
    print_table(head, rows, no_color=True, empty=empty)
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def _eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("note", ["", "revoked"])
def test_a_table_whose_last_column_is_short_stays_a_table_where_it_fits(
    capsys: pytest.CaptureFixture[str], note: str
) -> None:
    lines = _printed(capsys, ("agent", "there", "note"), ("a" * 50, "offline", note))
    assert [line.split() for line in lines if "a" * 50 in line] == [["a" * 50, "offline", *([note] if note else [])]]


@pytest.mark.parametrize("before", range(60, 76))
def test_the_last_column_of_a_table_is_not_broken_where_it_is_short(
    capsys: pytest.CaptureFixture[str], before: int
) -> None:
    lines = _printed(capsys, ("agent", "note"), ("a" * before, "revoked"))
    assert any("revoked" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_a_row_that_is_told_in_lines_begins_with_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert _printed(capsys, ("wave", "target", "why"), (1, "t" * 60, "w" * 50)) == [
        "wave 1",
        f"  target {'t' * 60}",
        f"  {'w' * 50}",
    ]


def test_a_row_that_is_told_in_lines_begins_with_no_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (("", "env MODE", "b" * 60, "n" * 50), ("!", "user", "b" * 60, ""))
    assert _printed(capsys, ("", "what", "before", "note"), *rows) == [
        "what env MODE",
        f"  before {'b' * 60}",
        f"  {'n' * 50}",
        "! what user",
        f"  before {'b' * 60}",
    ]


def test_a_row_that_is_told_in_lines_has_no_blanks_at_the_ends_of_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _printed(capsys, ("wave", "target", "why"), (1, "t" * 60, "word " * 40))
    assert [line for line in lines if line != line.rstrip()] == []
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) > 4
