import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from tidegate.agent.logs import configure_logs
from tidegate.agent.settings import load_settings


@pytest.fixture(autouse=True)
def _defaults_afterwards() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(capsys: pytest.CaptureFixture[str], *flags: str, quiet: bool = False) -> list[str]:
    """The lines of one log with an entry of each level; nothing may go to the standard output."""
    configure_logs(load_settings(flags, {}), quiet=quiet)
    log = structlog.get_logger()
    log.debug("looked", images=20)
    log.info("pulled", container="web one")
    log.warning("slow")
    out, err = capsys.readouterr()
    assert out == ""
    return list(err.splitlines())


def test_without_a_terminal_lines_are_logfmt_on_the_error_output(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = logged(capsys)
    assert 'level=info msg=pulled container="web one"' in first
    assert "level=warning msg=slow" in second


def test_json_lines_can_be_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads(logged(capsys, "--log-format=json")[0])
    assert (first["level"], first["msg"], first["container"]) == ("info", "pulled", "web one")
    assert first["time"].endswith("Z")


def test_pretty_lines_have_no_colours_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged(capsys, "--log-format=pretty")
    assert "pulled" in lines[0]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(("flags", "coloured"), [([], True), (["--no-color"], False)])
def test_lines_are_for_people_on_a_terminal_and_have_colours_unless_none_are_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], coloured: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    first = logged(capsys, *flags)[0]
    assert "level=" not in first
    assert ("\x1b" in first) is coloured


@pytest.mark.parametrize(
    ("flag", "count"), [("--log-level=error", 0), ("--log-level=warn", 1), ("--debug", 3), ("--trace", 3)]
)
def test_the_level_decides_what_is_shown(capsys: pytest.CaptureFixture[str], flag: str, count: int) -> None:
    assert len(logged(capsys, flag)) == count


def test_a_command_whose_output_is_the_answer_shows_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(logged(capsys, quiet=True)) == 1
    assert len(logged(capsys, "--debug", quiet=True)) == 3
