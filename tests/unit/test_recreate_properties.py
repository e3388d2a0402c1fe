"""Properties of recreation that hold for whatever users and images set."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.recreate import create_request

WORD = st.sampled_from(["a", "b", "c", "d"])
PAIRS = st.dictionaries(WORD, WORD, max_size=4)
COMMAND = st.none() | st.lists(WORD, min_size=1, max_size=2)
NOTHING: st.SearchStrategy[dict[str, str]] = st.builds(dict)
PORTS = st.dictionaries(st.sampled_from(["1/tcp", "2/tcp", "3/tcp"]), NOTHING)


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Settings as an image has them, or as a user asks for them."""
    return {
        "Env": [f"{key}={value}" for key, value in draw(PAIRS).items()],
        "Labels": draw(PAIRS),
        "User": draw(st.sampled_from(["", "u", "v"])),
        "WorkingDir": draw(st.sampled_from(["", "/u", "/v"])),
        "StopSignal": draw(st.sampled_from(["", "SIGINT"])),
        "Entrypoint": draw(COMMAND),
        "Cmd": draw(COMMAND),
        "ExposedPorts": draw(PORTS),
        "Volumes": draw(st.dictionaries(st.sampled_from(["/x", "/y"]), NOTHING)),
    }


def engine_merges(user: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """What the engine makes of a create request's settings and its image's."""
    merged = {key: user.get(key) or image[key] for key in ("User", "WorkingDir", "StopSignal")}
    named = {entry.partition("=")[0] for entry in user.get("Env") or ()}
    merged["Env"] = [*(user.get("Env") or ()), *(e for e in image["Env"] if e.partition("=")[0] not in named)]
    for key in ("Labels", "ExposedPorts", "Volumes"):
        merged[key] = {**image[key], **(user.get(key) or {})}
    entrypoint, command = user.get("Entrypoint"), user.get("Cmd")
    if not entrypoint:
        command = command or image["Cmd"]
        entrypoint = image["Entrypoint"] if entrypoint is None else entrypoint
    merged["Entrypoint"] = None if entrypoint == [""] else entrypoint
    merged["Cmd"] = command
    return merged


def running(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": "e" * 64,
        "Name": "/web",
        "Image": "sha256:1",
        "Config": config,
        "HostConfig": {"NetworkMode": "n"},
        "NetworkSettings": {"Networks": {"n": {}}},
    }


def image_of(config: dict[str, Any]) -> dict[str, Any]:
    return {"Id": "sha256:2", "Config": config}


def remade(config: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The settings after a replacement, as the engine would show them."""
    request = create_request(running(config), image_of(old), image_of(new), image_reference="i", api="1.41")
    return engine_merges(request.body, new)


def comparable(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "Env": sorted(config["Env"])}


@given(settings(), settings())
def test_the_same_image_gives_the_same_container(user: dict[str, Any], image: dict[str, Any]) -> None:
    before = engine_merges(user, image)
    assert comparable(remade(before, image, image)) == comparable(before)


@given(settings(), settings(), settings())
def test_replacing_twice_with_one_image_is_replacing_once(
    user: dict[str, Any], old: dict[str, Any], new: dict[str, Any]
) -> None:
    once = remade(engine_merges(user, old), old, new)
    assert comparable(remade(once, new, new)) == comparable(once)


@given(settings(), settings(), settings())
def test_what_the_user_set_otherwise_than_the_image_survives(
    user: dict[str, Any], old: dict[str, Any], new: dict[str, Any]
) -> None:
    after = remade(engine_merges(user, old), old, new)
    assert {e for e in user["Env"] if e not in old["Env"]} <= set(after["Env"])
    assert {k: v for k, v in user["Labels"].items() if old["Labels"].get(k) != v}.items() <= after["Labels"].items()
    for key in ("User", "WorkingDir", "StopSignal"):
        if user[key] and user[key] != old[key]:
            assert after[key] == user[key]
    if user["Entrypoint"] and user["Entrypoint"] != old["Entrypoint"]:
        assert (after["Entrypoint"], after["Cmd"]) == (user["Entrypoint"], user["Cmd"])


@given(settings(), settings())
def test_a_container_that_sets_nothing_becomes_what_the_new_image_says(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    nothing: dict[str, Any] = {}
    after = remade(engine_merges(nothing, old), old, new)
    assert comparable(after) == comparable(engine_merges(nothing, new))
