"""Docker's credential helpers: programs that keep accounts, asked with `docker-credential-NAME get`."""

import asyncio
import json
import re

from tidegate.registry.credential import Credential, CredentialsUnusableError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Said by every helper, in these words, when it simply has no account for the server.
_NOT_FOUND = "credentials not found"
# The user name with which a helper says that the secret is an identity token.
_TOKEN_USER = "<token>"  # noqa: S105  (a marker of the protocol, not a secret)


async def ask_helper(name: str, server: str, *, timeout_s: float) -> Credential | None:
    """The account that helper `name` keeps for `server`, or None. Raises `CredentialsUnusableError`."""
    program = f"docker-credential-{name}"
    if _NAME.fullmatch(name) is None:
        raise CredentialsUnusableError(f"{name!r} is not a credential helper's name", "mend Docker's config.json")
    code, output = await _run(program, server, timeout_s=timeout_s)
    if code != 0:
        said = " ".join(output.decode(errors="replace").split())
        if _NOT_FOUND in said.lower():
            return None
        raise CredentialsUnusableError(
            f"{program} failed for {server} (exit code {code}): {said[:200]}", f"try `{program} get` by hand"
        )
    return _read(output, program, server)


async def _run(program: str, server: str, *, timeout_s: float) -> tuple[int, bytes]:
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(program, "get", stdin=pipe, stdout=pipe, stderr=nowhere)
    except OSError as error:
        raise CredentialsUnusableError(
            f"{program} cannot be run ({error.strerror})",
            "install it where the agent runs, or set REPO_USER and REPO_PASS",
        ) from error
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate(server.encode())
    except TimeoutError:
        raise CredentialsUnusableError(
            f"{program} did not answer within {timeout_s:g} s for {server}", f"try `{program} get` by hand"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output


def _read(output: bytes, program: str, server: str) -> Credential | None:
    try:
        answer = json.loads(output)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        # Not chained: the original error could carry the secret.
        raise CredentialsUnusableError(
            f"{program} answered for {server} with something that is not an account",
            f"try `{program} get` by hand",
        ) from None
    if not secret:
        return None
    if username == _TOKEN_USER:
        return Credential("", "", secret, program)
    return Credential(username, secret, source=program)
