"""Signing images with the real cosign, and policies that ask for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.absent import cannot
from tests.support.images import Pushed
from tests.support.registry import Registry


def cosign(*words: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
    """Run `cosign WORDS...`. AssertionError with its error output if it fails."""
    env = {**os.environ, "COSIGN_PASSWORD": "", **(environ or {})}
    done = subprocess.run(["cosign", *words], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"cosign {' '.join(words)} failed with {done.returncode}: {done.stderr.strip()}"


@dataclass(frozen=True)
class Signer:
    """Somebody with a key pair; `key` is the public one's file."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> Signer:
        """Somebody else; the test is skipped where there is no cosign."""
        if shutil.which("cosign") is None:
            cannot("no cosign here: install it (Debian 13 has it), or run `make test` on Debian")
        folder.mkdir(parents=True)
        cosign("generate-key-pair", f"--output-key-prefix={folder / 'cosign'}")
        return cls(folder)

    @property
    def key(self) -> Path:
        """The public key."""
        return self.folder / "cosign.pub"

    def sign(self, image: Pushed, *words: str, **environ: str) -> None:
        """Sign an image by its digest, without the public log."""
        options = [f"--key={self.folder / 'cosign.key'}", "--tlog-upload=false", "--yes"]
        cosign("sign", *options, *words, image.pinned, environ=environ)


def signature_tag(image: Pushed) -> str:
    """The tag at which cosign keeps the signatures of an image."""
    return f"{image.digest.replace(':', '-')}.sig"


def copy_signature(registry: Registry, image: Pushed, source: str, target: str) -> None:
    """Put an image's signature from one repository beside the same image in another."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    _, _, manifest = registry.request("GET", f"/v2/{source}/manifests/{signature_tag(image)}", headers=accept)
    document = json.loads(manifest)
    for blob in (document["config"], *document["layers"]):
        registry.put_blob(target, registry.request("GET", f"/v2/{source}/blobs/{blob['digest']}")[2])
    registry.put_manifest(target, signature_tag(image), document)


def policy(folder: Path, *rules: tuple[str, Signer], unlisted: str = "refuse") -> Path:
    """A policy file: for each repository its signer, without the public log."""
    file = folder / "signatures.toml"
    tables = [
        f'[[image]]\nrepository = "{repository}"\nkey = "{signer.key}"\ntransparency-log = false\n'
        for repository, signer in rules
    ]
    file.write_text(f'unlisted = "{unlisted}"\n{"".join(tables)}', encoding="utf-8")
    return file


@contextmanager
def in_place_of_cosign(folder: Path, script: str | None) -> Iterator[None]:
    """Let cosign be this shell script, or not be there at all, for as long as the block lasts."""
    folder.mkdir()
    if script is not None:
        program = folder / "cosign"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
    rest = [place for place in os.environ["PATH"].split(":") if not Path(place, "cosign").exists()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", ":".join([str(folder), *rest]))
        yield


def docker_config(folder: Path, auths: Mapping[str, str]) -> Path:
    """A folder with Docker's configuration: by registry, base64 of user:password."""
    folder.mkdir()
    document = {"auths": {registry: {"auth": auth} for registry, auth in auths.items()}}
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
