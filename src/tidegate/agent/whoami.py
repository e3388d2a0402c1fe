"""Which container the agent itself runs in, if it runs in one."""

import re
import socket
from pathlib import Path

from tidegate.domain.selection import INSTANCE
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_MOUNTED = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf)")
_ROOT = re.compile(r"^\S+ \S+ \S+ \S+ / .*\bupperdir=([^,\s]+)", re.MULTILINE)


async def own_container(engine: Engine, mountinfo: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The agent's container id on this engine, or None on the host itself. The engine has the last word."""
    mounts = _read(mountinfo)
    for guess in _guesses(mounts):
        try:
            return (await _itself(engine, await engine.container(guess), mounts)).id
        except EngineError:
            continue
    return None


def _read(mountinfo: Path) -> str:
    try:
        return mountinfo.read_text()
    except OSError:
        return ""


def _guesses(mounts: str) -> list[str]:
    """The files that the engine mounts into every container name it; its host name often does."""
    found = _MOUNTED.findall(mounts)
    hostname = socket.gethostname()
    return [*dict.fromkeys(found), *([hostname] if re.fullmatch(r"[0-9a-f]{12}", hostname) else [])]


async def _itself(engine: Engine, named: Container, mounts: str) -> Container:
    """What lives in another's network has the files and the host name of that one.

    Then the root file system tells which it is, and where that is of another kind than overlay, the image's label.
    """
    modes = {f"container:{named.id}", f"container:{named.name}"}
    rows = await engine.containers(running_only=True)
    together = [named, *[await engine.container(row.id) for row in rows if row.network_mode in modes]]
    by_root = [one for one in together if _upper_dir(one) in _ROOT.findall(mounts)]
    by_label = [one for one in together if INSTANCE in one.labels]
    return (by_root or by_label or together)[0]


def _upper_dir(container: Container) -> str | None:
    driver = container.document.get("GraphDriver") or {}
    return (driver.get("Data") or {}).get("UpperDir")
