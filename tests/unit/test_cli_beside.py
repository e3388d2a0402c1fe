from pathlib import Path

import pytest

from tidegate.cli.beside import agents_flags, settings_beside

AGENT = ("/opt/tidegate/bin/python", "-m", "tidegate", "agent", "run")


def first_process(folder: Path, *words: str) -> Path:
    path = folder / "cmdline"
    path.write_text("".join(f"{word}\0" for word in words))
    return path


@pytest.mark.parametrize("before", [(), ("/sbin/docker-init", "--")])
def test_a_command_finds_the_flags_of_the_agent_in_its_container(tmp_path: Path, before: tuple[str, ...]) -> None:
    process = first_process(tmp_path, *before, *AGENT, "--label-enable", "--scope", "blue", "web")
    assert agents_flags(process) == ["--label-enable", "--scope", "blue", "web"]


@pytest.mark.parametrize("words", [("/sbin/init",), ("other", "agent", "run", "--label-enable"), AGENT])
def test_there_are_no_flags_of_an_agent_where_there_is_none_or_it_has_none(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert agents_flags(first_process(tmp_path, *words)) == []
    assert agents_flags(tmp_path / "missing") == []


def test_a_command_looks_at_what_the_agent_looks_at() -> None:
    settings = settings_beside([], {}, ["--label-enable", "--scope", "blue", "web"], agents_names=True)
    assert (settings.label_enable, settings.scope, settings.names) == (True, "blue", ("web",))


def test_the_flags_and_names_of_a_command_beat_the_agents() -> None:
    settings = settings_beside(["--scope", "green", "db"], {}, ["--scope", "blue", "web"], agents_names=True)
    assert (settings.scope, settings.names) == ("green", ("db",))


def test_the_names_given_to_the_agent_are_no_target_of_a_command() -> None:
    settings = settings_beside(["shop/web"], {}, ["--scope", "blue", "web"], agents_names=False)
    assert settings.names == ("shop/web",)
    assert settings_beside([], {}, ["web"], agents_names=False).names == ()


def test_a_list_of_a_command_takes_the_place_of_the_agents() -> None:
    settings = settings_beside(["-x", "db", "-x", "cache"], {}, ["-x", "web"], agents_names=False)
    assert settings.disable_containers == ("db", "cache")
    assert settings_beside([], {}, ["-x", "web"], agents_names=False).disable_containers == ("web",)
