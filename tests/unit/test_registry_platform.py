from typing import Any

import pytest

from tidegate.registry.platform import Platform, accepts, choose, is_attestation, platforms_of, runnable


def entry(text: str, **more: Any) -> dict[str, Any]:
    parts = dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))
    return {"digest": text, "platform": parts, **more}


def picked(host: str, *entries: str) -> str | None:
    found = choose([entry(text) for text in entries], Platform(*host.split("/")))
    return found["digest"] if found else None


@pytest.mark.parametrize(
    ("host", "entries", "expected"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/x86_64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/amd64", ["linux/386"], "linux/386"),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/aarch64/v8", ["linux/arm64"], "linux/arm64"),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm/v7", ["linux/arm64"], None),
        ("linux/arm", ["linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/7", ["linux/arm"], "linux/arm"),
        ("linux/armv7l", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/riscv64", ["linux/amd64", "linux/riscv64"], "linux/riscv64"),
    ],
)
def test_a_host_gets_the_best_of_what_it_can_run(host: str, entries: list[str], expected: str | None) -> None:
    assert picked(host, *entries) == expected


def test_attestations_are_never_chosen() -> None:
    reference = entry("linux/amd64", annotations={"vnd.docker.reference.type": "attestation-manifest"})
    assert choose([entry("unknown/unknown"), reference], Platform("linux", "amd64")) is None


def test_annotations_that_are_no_object_say_nothing() -> None:
    assert not is_attestation({"annotations": 5, "platform": {"os": "linux", "architecture": "amd64"}})


def test_attestations_are_not_listed_as_platforms() -> None:
    assert platforms_of([entry("unknown/unknown"), entry("linux/arm64/v8"), entry("linux/amd64")]) == [
        "linux/amd64",
        "linux/arm64",
    ]


def test_an_entry_that_names_no_platform_is_the_last_resort() -> None:
    entries: list[dict[str, Any]] = [{"digest": "any"}, entry("linux/amd64")]
    assert choose(entries, Platform("linux", "amd64")) == entries[1]
    assert choose(entries, Platform("linux", "s390x")) == entries[0]


def test_an_image_of_a_lesser_processor_is_accepted() -> None:
    assert accepts(Platform("linux", "arm64"), Platform("linux", "arm", "v7"))


def test_the_first_thing_a_host_runs_is_itself() -> None:
    assert [str(platform) for platform in runnable(Platform("Linux", "x86_64"))] == ["linux/amd64", "linux/386"]
