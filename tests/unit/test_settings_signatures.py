"""The signature policy is read at the start, and refused in full sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.agent.settings import SettingsError, load_settings

PUBLIC = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
PRIVATE = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJr\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"


@pytest.fixture
def search_path(tmp_path: Path) -> str:
    """A PATH with a cosign on it."""
    program = tmp_path / "bin" / "cosign"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(program.parent)


def written(folder: Path, text: str, key: str | None = PUBLIC) -> Path:
    """A policy file, and a key beside it."""
    file = folder / "signatures.toml"
    file.write_text(text)
    if key is not None:
        (folder / "acme.pub").write_text(key)
    return file


def policy(key: str = "acme.pub") -> str:
    return f'[[image]]\nrepository = "ghcr.io/acme/*"\nkey = "{key}"\n'


def refusal(file: Path, search_path: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings([], {"TIDEGATE_SIGNATURES": str(file), "PATH": search_path})
    return str(caught.value)


def test_without_a_file_nothing_is_verified_and_no_cosign_is_needed() -> None:
    assert load_settings([], {"TIDEGATE_SIGNATURES": "", "PATH": ""}).signatures is None


def test_a_key_that_is_named_shortly_is_beside_the_file(tmp_path: Path, search_path: str) -> None:
    found = load_settings(["--signatures", str(written(tmp_path, policy()))], {"PATH": search_path}).signatures
    assert found is not None
    assert [rule.key for rule in found.rules] == [str(tmp_path / "acme.pub")]


def test_a_key_may_be_anywhere(tmp_path: Path, search_path: str) -> None:
    key = tmp_path / "keys" / "acme.pub"
    key.parent.mkdir()
    key.write_text(PUBLIC)
    file = written(tmp_path, policy(str(key)), key=None)
    found = load_settings([], {"TIDEGATE_SIGNATURES": str(file), "PATH": search_path}).signatures
    assert found is not None
    assert found.rules[0].key == str(key)


def test_a_certificate_needs_no_key(tmp_path: Path, search_path: str) -> None:
    file = written(tmp_path, '[[image]]\nrepository = "*"\nidentity = "me@acme.test"\nissuer = "https://acme.test"\n')
    found = load_settings([], {"TIDEGATE_SIGNATURES": str(file), "PATH": search_path}).signatures
    assert found is not None
    assert found.rules[0].key == ""


def test_a_file_that_is_not_there_is_named(tmp_path: Path, search_path: str) -> None:
    file = tmp_path / "none.toml"
    assert refusal(file, search_path) == (
        f"TIDEGATE_SIGNATURES is {file}, which cannot be read (No such file or directory): name a TOML file; in a "
        f"container, mount it."
    )


def test_a_file_that_is_not_text_is_named(tmp_path: Path, search_path: str) -> None:
    file = tmp_path / "signatures.toml"
    file.write_bytes(b"\xff\xfe")
    assert "which cannot be read (it is not text)" in refusal(file, search_path)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (None, "cannot be read (No such file or directory): put the public key there; in a container, mount it."),
        (PRIVATE, "is a private key: give the public one (cosign.pub), and keep this one away from the agent."),
        ("acme", "is not a public key (PEM): give what `cosign generate-key-pair` writes to cosign.pub."),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_its_rule_and_the_remedy(
    tmp_path: Path, search_path: str, key: str | None, says: str
) -> None:
    file = written(tmp_path, policy(), key)
    assert refusal(file, search_path) == f"{file}, rule ghcr.io/acme/*: {tmp_path / 'acme.pub'} {says}"


def test_without_cosign_the_agent_does_not_start(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, policy()), str(tmp_path)) == (
        "TIDEGATE_SIGNATURES is set, and cosign is not on the PATH: install it where the agent runs, or unset "
        "TIDEGATE_SIGNATURES."
    )


def test_every_fault_of_the_policy_is_a_fault_of_the_settings(tmp_path: Path, search_path: str) -> None:
    said = refusal(written(tmp_path, f'unlisted = "maybe"\n{policy()}idenity = "x"\n'), search_path).splitlines()
    assert [line.startswith(str(tmp_path / "signatures.toml")) for line in said] == [True, True]
