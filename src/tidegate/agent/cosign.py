"""Runs `cosign verify`: which arguments it is given, whose account, how long, and what its exit codes mean."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from yarl import URL

from tidegate.domain.reference import Reference
from tidegate.domain.signature_policy import SignatureRule
from tidegate.registry.credential import Credential, basic_header
from tidegate.registry.docker_config import HUB, HUB_KEY
from tidegate.registry.endpoint import is_loopback, may_be_plain

PROGRAM = "cosign"
_UNSIGNED, _BY_OTHERS = 10, 12
_OURS = ("TIDEGATE_", "WATCHTOWER_", "REPO_")
_SAID_BEFORE = "error during command execution: "
_LONGEST = 300
_PLAIN = ("--allow-http-registry=true", "--allow-insecure-registry=true")
"""The first is what is meant; `cosign verify` of 2.5 goes by the second only."""
_ENDS_WITHIN_S = 5.0
_PREFIX = "cosign-"
_LEFT_BEHIND_S = 600.0
_REACH = "see that its registry, and for the transparency log the Internet, can be reached from the agent"


class Trouble(Enum):
    """Why an image could not be verified."""

    UNSIGNED = "it has no signature"
    BY_OTHERS = "none of its signatures satisfies the rule"
    UNKNOWN = "whether it is signed could not be found out"


class CosignError(Exception):
    """Cosign did not say yes; `why` is a clause."""

    def __init__(self, trouble: Trouble, why: str) -> None:
        super().__init__(trouble, why)
        self.trouble = trouble
        self.why = why


@dataclass(frozen=True, slots=True)
class Cosign:
    """The program, as it has to be run here.

    `account` is shown to every registry; without one, Docker's configuration in `docker_config` counts, or its usual
    place. `ca_file` is trusted beside the system's; `insecure` are the registries that are spoken to without TLS.
    `scratch` is the folder, made where it is not there, in which the account is put by while cosign runs.
    """

    environ: Mapping[str, str] = field(repr=False)
    scratch: Path
    account: Credential | None = None
    docker_config: Path | None = None
    ca_file: Path | None = None
    insecure: Collection[str] = ()
    limit_s: float = 60.0
    hurried_limit_s: float = 5.0

    async def verify(self, rule: SignatureRule, image: Reference, *, hurry: bool = False) -> str:
        """What it prints of an image, given by digest: JSON, with one payload for each good signature.

        Raises `CosignError`, also where it takes longer than `limit_s`, or `hurried_limit_s` in a hurry.
        """
        limit_s = self.hurried_limit_s if hurry else self.limit_s
        words = arguments(rule, image, self.insecure)
        try:
            with self._config(image.registry) as config:
                code, said, complained = await self._run(words, self._environ(config), limit_s)
        except OSError as error:
            raise CosignError(
                Trouble.UNKNOWN,
                f"the account for {PROGRAM} cannot be put by ({error.strerror}): "
                f"make {self.scratch} writable for the agent",
            ) from error
        if code != 0:
            raise CosignError(_trouble(code), f"{PROGRAM} says: {_gist(complained)}")
        return said

    async def _run(self, words: list[str], environ: Mapping[str, str], limit_s: float) -> tuple[int, str, str]:
        """Exit code, output and error output. It leads a group of its own, so that its helpers end with it."""
        try:
            process = await asyncio.create_subprocess_exec(
                PROGRAM, *words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environ, start_new_session=True
            )
        except OSError as error:
            raise CosignError(
                Trouble.UNKNOWN, f"{PROGRAM} cannot be run ({error.strerror}): install it where the agent runs"
            ) from error
        try:
            async with asyncio.timeout(limit_s):
                said, complained = await process.communicate()
        except asyncio.CancelledError:
            await _end(process)
            raise
        except TimeoutError:
            await _end(process)
            raise CosignError(Trouble.UNKNOWN, f"{PROGRAM} did not answer within {limit_s:g} s: {_REACH}") from None
        return process.returncode or 0, said.decode(errors="replace"), complained.decode(errors="replace")

    @contextlib.contextmanager
    def _config(self, registry: str) -> Iterator[Path | None]:
        """The folder with Docker's configuration; for REPO_USER a private one that is gone afterwards."""
        if self.account is None:
            yield self.docker_config
            return
        self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tidy()
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self.scratch) as folder:
            _write_account(Path(folder) / "config.json", self.account, registry)
            yield Path(folder)

    def _tidy(self) -> None:
        """Remove what an agent that was killed meanwhile has left behind; others may be at work beside this one."""
        for folder in self.scratch.glob(f"{_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _LEFT_BEHIND_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def _environ(self, config: Path | None) -> dict[str, str]:
        environ = {name: value for name, value in self.environ.items() if not name.startswith(_OURS)}
        if config is not None:
            environ["DOCKER_CONFIG"] = str(config)
        if self.ca_file is not None:
            # `--registry-cacert` would take the place of the system's; this adds to what is in /etc/ssl/certs.
            environ["SSL_CERT_FILE"] = str(self.ca_file)
        return environ


def arguments(rule: SignatureRule, image: Reference, insecure: Collection[str]) -> list[str]:
    """What follows `cosign`; nothing in it is secret."""
    certificate = [f"--certificate-identity={rule.identity}", f"--certificate-oidc-issuer={rule.issuer}"]
    return [
        "verify",
        "--output=json",
        *([f"--key={rule.key}"] if rule.key else certificate),
        *([] if rule.transparency_log else ["--insecure-ignore-tlog=true"]),
        *(_PLAIN if _is_plain(image.registry, insecure) else []),
        str(image),
    ]


def _is_plain(registry: str, insecure: Collection[str]) -> bool:
    """Whether a flag is needed to ask it without TLS; on this machine's own addresses cosign tries that by itself."""
    url = URL(f"https://{registry}")
    return may_be_plain(url, insecure) and not is_loopback(url)


def _write_account(file: Path, account: Credential, registry: str) -> None:
    header = basic_header(account.username, account.password).removeprefix("Basic ")
    document = {"auths": {HUB_KEY if registry == HUB else registry: {"auth": header}}}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(document, opened)


async def _end(process: Process) -> None:
    """Kill it, and what it has started: a helper may hold its output open after it has ended itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENDS_WITHIN_S):
            await process.communicate()


def _trouble(code: int) -> Trouble:
    return {_UNSIGNED: Trouble.UNSIGNED, _BY_OTHERS: Trouble.BY_OTHERS}.get(code, Trouble.UNKNOWN)


def _gist(complained: str) -> str:
    """The last thing it said, on one line."""
    text = complained.rpartition(_SAID_BEFORE)[2] or complained
    return " ".join(text.split())[:_LONGEST] or "nothing"
