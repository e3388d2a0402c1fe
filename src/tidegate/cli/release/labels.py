"""`tidegate release labels`: what a build is to write on its image, from git."""

import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from tidegate.cli.fleet.errors import FleetError, UsageError
from tidegate.domain.release_labels import CREATED, REVISION, SOURCE, VERSION, read_moment

_EPOCH = "SOURCE_DATE_EPOCH"
_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>(?!//).+)")
_URL = re.compile(r"(?:https?|ssh|git)://(?:[^/@]*@)?(?P<host>[\w.-]+)(?P<port>:\d+)?/(?P<path>.+)")


def make_labels(folder: Path, environ: Mapping[str, str], given: Mapping[str, str | None]) -> dict[str, str]:
    """The labels of a build of the commit that is checked out in `folder`; what is `given` is not asked of git.

    Time is that of SOURCE_DATE_EPOCH or, without it, of the commit, so that another build of it says the same. Raises
    `FleetError` where git cannot tell.
    """
    labels = {
        SOURCE: given.get(SOURCE) or source_url(_git(folder, "remote", "get-url", "origin")),
        REVISION: given.get(REVISION) or _git(folder, "rev-parse", "HEAD"),
        VERSION: given.get(VERSION) or _git(folder, "describe", "--tags", "--always"),
        CREATED: given.get(CREATED) or _created(folder, environ),
    }
    if read_moment(labels[CREATED]) is None:
        raise UsageError(f"{labels[CREATED]!r} is no time; it takes one such as 2026-11-29T12:00:00Z.")
    for key, value in labels.items():
        if not value or re.search(r"\s", value):
            raise UsageError(f"{key} would be {value!r}; it takes a word, without blanks.")
    return labels


def uncommitted(folder: Path) -> bool:
    """Whether files differ from the commit: an image of them is not what its revision says."""
    return bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))


def source_url(remote: str) -> str:
    """Where people look the source up, from a remote's address: https, without an account and `.git`."""
    found = _URL.fullmatch(remote) or _SCP.fullmatch(remote)
    if found is None:
        raise FleetError(f"The remote `origin` is at {Path(remote).name!r}, which is no address; give --source.")
    port = found.groupdict().get("port") or ""
    port = port if remote.startswith("http") else ""
    scheme = "http" if remote.startswith("http://") else "https"
    return f"{scheme}://{found['host']}{port}/{found['path'].strip('/').removesuffix('.git')}"


def _created(folder: Path, environ: Mapping[str, str]) -> str:
    epoch = environ.get(_EPOCH, "").strip() or _git(folder, "log", "-1", "--format=%ct")
    try:
        at = datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{_EPOCH} is {epoch!r}; it takes seconds since 1970.") from None
    return at.isoformat().replace("+00:00", "Z")


def _git(folder: Path, *words: str) -> str:
    try:
        ran = subprocess.run(  # noqa: S603 - words of ours
            ["git", "-C", str(folder), *words],  # noqa: S607 - wherever git is
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise FleetError("There is no git here: give --source, --revision, --version and --created.") from None
    if ran.returncode != 0:
        why = " ".join(ran.stderr.split()).removeprefix("fatal: ").removeprefix("error: ")
        raise FleetError(f"git cannot tell ({' '.join(words)}): {why}.")
    return ran.stdout.strip()
