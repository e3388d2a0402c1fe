"""Debian packages: unpacked beside the project if they would start services, installed if they are plain tools."""

from __future__ import annotations

import fcntl
import os
import platform
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork.paths import APP, APP_SOURCE, HOME, GroundError, unpacked
from groundwork.sources import derived, machine_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTRY = ["docker-registry"]
BUSYBOX = ["busybox-static"]
COSIGN = ["cosign"]
POSTGRES = ["postgresql-15", "postgresql-client-15", "libpq5"]
HAPROXY = ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"]
PROMETHEUS = ["prometheus"]
UNPACKED = {
    "bookworm": ["docker.io", "containerd", "runc", "tini", *REGISTRY, *BUSYBOX],
    "trixie": ["docker.io", "containerd", "docker-cli", "docker-compose"],
}
# Shared libraries and tools that the unpacked programs need: package -> the file that makes it needless.
TOOLS = {
    "iptables": "/usr/sbin/iptables",
    "iproute2": "/usr/sbin/ip",
    "libseccomp2": "/usr/lib/*/libseccomp.so.2",
    "libdevmapper1.02.1": "/usr/lib/*/libdevmapper.so.1.02.1",
    "libsystemd0": "/usr/lib/*/libsystemd.so.0",
    "openssl": "/usr/bin/openssl",
    "gcc": "/usr/bin/gcc",
    "libc6-dev": "/usr/lib/*/libc.a",
}
# The same for the manager's databases; PostgreSQL is bookworm's.
POSTGRES_TOOLS = {
    "sqlite3": "/usr/bin/sqlite3",
    "libicu72": "/usr/lib/*/libicuuc.so.72",
    "libxml2": "/usr/lib/*/libxml2.so.2",
    "libldap-2.5-0": "/usr/lib/*/libldap-2.5.so.0",
    "libgssapi-krb5-2": "/usr/lib/*/libgssapi_krb5.so.2",
}
# Shells in which names are completed (bash is everywhere), and what lines of the pages, and the deployment script, ask.
AT_HAND = {"zsh": "/usr/bin/zsh", "fish": "/usr/bin/fish", "curl": "/usr/bin/curl", "jq": "/usr/bin/jq"}
# A browser for the tests of the console, and letters for it to show.
BROWSER = {
    "chromium": "/usr/bin/chromium",
    "fonts-dejavu-core": "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
}
COMPILER = ["gcc", "libc6-dev"]
GO = {"golang-go": "/usr/bin/go"}
_PT_INTERP = 3


def install(releases: list[str]) -> None:
    """Have the named releases' engines and the test images' parts ready; quick when they are."""
    HOME.mkdir(exist_ok=True)
    with _one_at_a_time():
        _install_tools(TOOLS)
        # Both are needed for either engine: runc and the registry are bookworm's, Compose is trixie's.
        for release in sorted({"bookworm", "trixie", *releases}):
            _unpack(release, UNPACKED[release], release=release)
        _unpack_cosign()
        _unpack_postgres()
        _unpack_haproxy()
        _unpack_prometheus()
        _install_at_hand()
        _compile_app()


def install_for_existing_engine() -> None:
    """Have what an engine that runs already still lacks: registry, busybox, Compose, the test application.

    Cosign too where it can be had: only the tests of signatures need it.
    """
    HOME.mkdir(exist_ok=True)
    with _one_at_a_time():
        _install_tools({name: TOOLS[name] for name in COMPILER})
        if not (find("usr/bin/docker-registry") and busybox()):
            _unpack("registry", [*REGISTRY, *BUSYBOX])
        if not _has_compose():
            _unpack("trixie", UNPACKED["trixie"], release="trixie")
        if is_debian() and not find("usr/bin/cosign"):
            _unpack_cosign()
        _unpack_postgres()
        _unpack_haproxy()
        _unpack_prometheus()
        _install_at_hand()
        _compile_app()


def _unpack_postgres() -> None:
    """Unpack bookworm's PostgreSQL, where its libraries are to be had; only the manager's tests need it."""
    if is_debian() and _codename() == "bookworm" and (os.geteuid() == 0 or not _missing(POSTGRES_TOOLS)):
        _install_tools(POSTGRES_TOOLS)
        _unpack("postgres", POSTGRES)


def _unpack_haproxy() -> None:
    """Unpack bookworm's HAProxy; only the tests and the benchmark of a proxy need it."""
    if is_debian() and _codename() == "bookworm":
        _unpack("haproxy", HAPROXY)


def _unpack_prometheus() -> None:
    """Unpack bookworm's Prometheus; only the tests of rules and of the dashboard need its promtool."""
    if is_debian() and _codename() == "bookworm":
        _unpack("prometheus", PROMETHEUS)


def _install_at_hand() -> None:
    """Have shells, curl, jq and a browser, where that needs nobody's help; only tests of what people see need them."""
    if is_debian() and os.geteuid() == 0:
        _install_tools(AT_HAND | BROWSER)


def install_go() -> None:
    """Have a Go to build with; only the linter of workflows needs it."""
    with _one_at_a_time():
        _install_tools(GO)


def _unpack_cosign() -> None:
    """Unpack trixie's cosign, which runs on bookworm too, into a folder of its own: no other part is fetched anew."""
    _unpack("cosign", COSIGN, release="trixie")


def _has_compose() -> bool:
    command = ["docker", "compose", "version"]
    return bool(shutil.which("docker")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def find(program: str) -> Path | None:
    """Find a program, named as its package does ("usr/bin/docker-registry"): unpacked here, else on the PATH."""
    for place in (unpacked(folder) / program for folder in ("bookworm", "registry", "cosign")):
        if place.exists():
            return place
    on_path = shutil.which(Path(program).name)
    return Path(on_path) if on_path else None


def busybox() -> Path | None:
    """Find a busybox that runs in an image without libraries: most machines' own does not."""
    found = find("bin/busybox")
    return found if found and _is_static(found) else None


def _is_static(program: Path) -> bool:
    """Whether a 64-bit ELF program asks for no loader."""
    content = program.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":
        return False
    (first,) = struct.unpack_from("<Q", content, 32)
    size, number = struct.unpack_from("<HH", content, 54)
    kinds = {struct.unpack_from("<I", content, first + size * index)[0] for index in range(number)}
    return _PT_INTERP not in kinds


def is_debian() -> bool:
    """Whether packages can be had."""
    return Path("/etc/debian_version").exists() and bool(shutil.which("apt-get"))


def require_debian() -> None:
    """Refuse, in one sentence, where the packages cannot be had."""
    if not is_debian():
        raise GroundError(
            f"This {platform.system()} machine has no apt: install Docker Engine with its Compose plugin (v2), "
            "docker-registry, a static busybox and gcc, start Docker, and try again."
        )


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (HOME / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_tools(tools: dict[str, str]) -> None:
    missing = _missing(tools)
    if not missing:
        return
    require_debian()
    if os.geteuid() != 0:
        raise GroundError(f"Missing {' '.join(missing)}: install them as root (apt-get install {' '.join(missing)}).")
    _say(f"installing {' '.join(missing)}")
    apt_get(["-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", *missing])


def _missing(tools: dict[str, str]) -> list[str]:
    return [name for name, file in tools.items() if not list(Path("/").glob(file.lstrip("/")))]


def apt_get(words: list[str], *, lists: list[str] | None = None, cwd: Path | None = None) -> None:
    """`apt-get WORDS...`; where it fails, once more with fresh package lists: they may be absent or too old.

    `lists` are options that lead to lists of our own. The machine's only root can refresh.
    """
    # apt's own user may not be able to read our folders, so root downloads; signatures are checked all the same.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    command = ["apt-get", "-q", *(lists or []), *sandbox]
    if _run([*command, *words], cwd).returncode == 0:
        return
    if lists or os.geteuid() == 0:
        must([*command, "update"])
    must([*command, *words], cwd)


def _unpack(folder: str, names: list[str], *, release: str = "") -> None:
    """Download packages of a release (empty: the machine's own) and unpack them into .ground/FOLDER, once."""
    target, stamp = unpacked(folder), unpacked(folder) / ".packages"
    if stamp.exists() and stamp.read_text(encoding="utf-8").split() == names:
        return
    require_debian()
    options = [] if release in ("", _codename()) else _options_for(release)
    with tempfile.TemporaryDirectory(dir=HOME) as download:
        _say(f"downloading {' '.join(names)}")
        apt_get(["download", *names], lists=options, cwd=Path(download))
        shutil.rmtree(target, ignore_errors=True)
        for deb in sorted(Path(download).glob("*.deb")):
            must(["dpkg-deb", "-x", str(deb), str(target)])
    stamp.write_text("\n".join(names), encoding="utf-8")


def _options_for(release: str) -> list[str]:
    """Give apt private sources, lists and cache, so that the machine's own settings stay as they are."""
    sources = derived(machine_sources(Path("/etc/apt")), _codename(), release)
    if not sources:
        raise GroundError(f"/etc/apt names no source of this Debian ({_codename()}), so none of {release} follows.")
    # An older keyring lacks the keys of newer releases; the machine's own, verified sources have the newest one.
    _unpack("keyring", ["debian-archive-keyring"])
    keyring = unpacked("keyring") / "usr/share/keyrings/debian-archive-keyring.gpg"
    private = HOME / f"apt-{release}"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (private / folder).mkdir(parents=True, exist_ok=True)
    text = "".join(f"deb [signed-by={keyring}] {s.uri} {s.suite} main\n" for s in sources)
    (private / "sources.list").write_text(text, encoding="utf-8")
    settings = {
        "Dir::State": private / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": private / "cache",
        "Dir::Etc::sourcelist": private / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _compile_app() -> None:
    """Build the test application once per version of its source."""
    built = APP / "app"
    newest = max(p.stat().st_mtime for p in APP_SOURCE.glob("*.[ch]"))
    if built.exists() and built.stat().st_mtime >= newest:
        return
    APP.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(p) for p in APP_SOURCE.glob("*.c"))
    fresh = APP / f"app.{os.getpid()}"
    must(["gcc", "-O2", "-Wall", "-static", "-pthread", "-o", str(fresh), *sources])
    fresh.rename(built)


def _say(text: str) -> None:
    print(f"ground: {text}", file=sys.stderr, flush=True)


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    return subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def must(command: list[str], cwd: Path | None = None) -> None:
    """Run a command. GroundError with the end of its output if it fails."""
    if not shutil.which(command[0]):
        raise GroundError(f"No {command[0]} program: install it, and try again.")
    done = _run(command, cwd)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise GroundError(f"`{shlex.join(command)}` failed with {done.returncode}:\n{tail}")
