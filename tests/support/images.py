"""Images of the test application, made and pushed in a few milliseconds without a builder.

They are what `docker build` makes FROM scratch: one layer with a static busybox and the application (tests/app).
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.registry import MANIFEST, Registry, digest_of

from groundwork.packages import busybox
from groundwork.paths import APP

CREATED = "2024-01-01T00:00:00Z"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
HEALTHCHECK = {"Test": ["CMD", "/app", "health"], "Interval": 500_000_000, "Timeout": 10_000_000_000, "Retries": 3}


@dataclass(frozen=True)
class Pushed:
    """An image in a registry."""

    reference: str  # as an engine pulls it, with its tag
    digest: str  # of the manifest
    image_id: str  # what the engine calls the image once pulled

    @property
    def pinned(self) -> str:
        """The reference by digest."""
        return f"{self.reference.rsplit(':', 1)[0]}@{self.digest}"


def build(
    registry: Registry,
    tag: str,
    *,
    version: str = "1",
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    healthcheck: Mapping[str, Any] | bool = False,
    volumes: Sequence[str] = (),
    ports: Sequence[int] = (8000,),
    files: Mapping[str, bytes] | None = None,
    architecture: str = ARCHITECTURE,
    **config: Any,
) -> Pushed:
    """Push an image of the application as `tag` ("NAME:TAG").

    `healthcheck`: True for `/app health` every 0.5 s, or the config's own document (durations in nanoseconds).
    `files`: a second layer, absolute path -> content. `config`: further keys of the image's config as the engine
    spells them (`User`, `StopSignal`, `Entrypoint`, `Cmd`, `WorkingDir`).
    """
    settings: dict[str, Any] = {
        "Env": [f"{k}={v}" for k, v in {"PATH": "/bin", "VERSION": version, **(env or {})}.items()],
        "Entrypoint": ["/app"],
        "Cmd": ["serve"],
        "Labels": {"org.opencontainers.image.version": version, **(labels or {})},
        "ExposedPorts": {f"{port}/tcp": {} for port in ports},
        **({"Volumes": {v: {} for v in volumes}} if volumes else {}),
        **({"Healthcheck": HEALTHCHECK if healthcheck is True else healthcheck} if healthcheck else {}),
        **config,
    }
    layers = [base_layer(), *([layer_of(files)] if files else [])]
    return push(registry, tag, settings, layers, architecture=architecture)


def push(
    registry: Registry, tag: str, settings: Mapping[str, Any], layers: Sequence[bytes], *, architecture: str
) -> Pushed:
    """Push an image whose config holds `settings`, of uncompressed tar `layers`."""
    name, _, tag_name = tag.rpartition(":")
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created": CREATED, "created_by": "tests"} for _ in layers],
    }
    config = json.dumps(document).encode()
    packed = [_packed(layer) for layer in layers]
    for blob in (config, *packed):
        registry.put_blob(name, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(config), "digest": digest_of(config)},
        "layers": [{"mediaType": LAYER, "size": len(p), "digest": digest_of(p)} for p in packed],
    }
    digest = registry.put_manifest(name, tag_name, manifest)
    return Pushed(f"{registry.engine_address or registry.address}/{tag}", digest, digest_of(config))


def layer_of(files: Mapping[str, bytes], *, mode: int = 0o644) -> bytes:
    """Return an uncompressed layer with these files (absolute path -> content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            _add(tar, path, content, mode)
    return buffer.getvalue()


@functools.cache
def base_layer() -> bytes:
    """Return the layer with busybox under all its names, the application, and writable /state and /tmp."""
    busybox = _busybox()
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("state", 0o777), ("tmp", 0o1777), ("data", 0o777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        _add(tar, "/bin/busybox", busybox.read_bytes(), 0o755)
        _add(tar, "/app", (APP / "app").read_bytes(), 0o755)
        _add(tar, "/etc/passwd", b"root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n", 0o644)
        _add(tar, "/etc/group", b"root:x:0:\nuser:x:1000:\n", 0o644)
        for name in sorted(set(names) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


@functools.lru_cache(maxsize=16)
def _packed(layer: bytes) -> bytes:
    return gzip.compress(layer, compresslevel=1, mtime=0)


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _busybox() -> Path:
    found = busybox()
    assert found, "no static busybox: run `python3 scripts/ground.py install`"
    return found.resolve()
