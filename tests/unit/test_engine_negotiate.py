"""Which API version is spoken, and with whom none is."""

import pytest

from tidegate.engine.errors import EngineVersionError
from tidegate.engine.negotiate import NEWEST, OLDEST, negotiate


def answer(api_max: str, api_min: str = "1.12", engine: str = "20.10.24") -> dict[str, str]:
    return {"Version": engine, "ApiVersion": api_max, "MinAPIVersion": api_min, "Os": "linux", "Arch": "amd64"}


@pytest.mark.parametrize(
    ("api_max", "used"), [("1.41", "1.41"), ("1.43", "1.43"), ("1.45", "1.45"), ("1.54", NEWEST), ("1.100", NEWEST)]
)
def test_the_smaller_of_offered_and_tested_is_spoken(api_max: str, used: str) -> None:
    assert negotiate(answer(api_max)).api_used == used


def test_an_engine_that_is_too_old_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngineVersionError, match=r"too old: Docker 1\.13 speaks API 1\.25.*upgrade the engine"):
        negotiate(answer("1.25", engine="1.13"))


def test_an_engine_that_is_too_new_is_refused_with_what_to_do() -> None:
    with pytest.raises(EngineVersionError, match=r"too new: Docker 40\.0 speaks API 1\.60.*update Tidegate"):
        negotiate(answer("1.70", "1.60", engine="40.0"))


def test_versions_are_compared_as_numbers() -> None:
    with pytest.raises(EngineVersionError, match="too old"):
        negotiate(answer("1.9"))


def test_a_version_that_is_asked_for_is_spoken() -> None:
    assert negotiate(answer("1.45"), "1.43").api_used == "1.43"


@pytest.mark.parametrize(("api_max", "used"), [("1.45", "1.45"), ("1.54", NEWEST), ("1.42", "1.42")])
@pytest.mark.parametrize("pinned", ["1.46", "v2.0"])
def test_a_version_beyond_what_can_be_spoken_is_an_upper_bound(api_max: str, used: str, pinned: str) -> None:
    assert negotiate(answer(api_max), pinned).api_used == used


@pytest.mark.parametrize("pinned", ["1.24", "v1.40", "newest"])
def test_a_version_that_cannot_be_spoken_is_refused_by_its_settings_name(pinned: str) -> None:
    with pytest.raises(EngineVersionError, match=rf"DOCKER_API_VERSION={pinned}.*from {OLDEST} to 1\.45"):
        negotiate(answer("1.45"), pinned)


def test_a_pinned_version_is_never_below_what_the_engine_takes() -> None:
    with pytest.raises(EngineVersionError, match=r"from 1\.44 to 1\.45"):
        negotiate(answer("1.50", "1.44"), "1.43")


@pytest.mark.parametrize("said", [{"hello": "world"}, [], "1.45", None])
def test_something_else_than_an_engine_is_told(said: object) -> None:
    with pytest.raises(EngineVersionError, match=r"not a Docker engine.*check DOCKER_HOST"):
        negotiate(said)
