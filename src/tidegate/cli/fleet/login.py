"""Which manager is spoken with, and as whom: from the environment, else from what `tidegate login` has kept."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from yarl import URL

from tidegate.cli.fleet.errors import UsageError

URL_VARIABLE: Final = "TIDEGATE_MANAGER_URL"
TOKEN_VARIABLE: Final = "TIDEGATE_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE_VARIABLE: Final = "TIDEGATE_TOKEN_FILE"  # noqa: S105 - as above
CA_VARIABLE: Final = "TIDEGATE_MANAGER_CA"
VARIABLES: Final = (URL_VARIABLE, TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, CA_VARIABLE)

_API: Final = "api/v1"
_MOST_TOKEN_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Login:
    """A manager's address without `/api/v1`, the token to show there, and a file with its certificate authority."""

    url: URL
    token: str = field(repr=False)
    ca_file: Path | None = None


def find_login(environ: Mapping[str, str]) -> Login:
    """What the environment names, and for the rest what was kept. Raises `UsageError`.

    A token that was kept for one address is shown to no other.
    """
    kept_url, kept_token = _kept(environ)
    named = environ.get(URL_VARIABLE, "").strip()
    url = parse_url(named, URL_VARIABLE) if named else kept_url
    if url is None:
        raise UsageError(f"No manager is known: run `tidegate login URL`, or set {URL_VARIABLE} and {TOKEN_VARIABLE}.")
    token = environment_token(environ) or (kept_token if url == kept_url else "")
    if not token:
        raise UsageError(
            f"No token for {url}: run `tidegate login {url}`, or set {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}."
        )
    return Login(url, token, ca_file(environ))


def ca_file(environ: Mapping[str, str]) -> Path | None:
    """The certificate authority's file that the environment names."""
    named = environ.get(CA_VARIABLE, "")
    return Path(named) if named else None


def environment_token(environ: Mapping[str, str]) -> str:
    """The token that the environment gives or names a file of; empty where it does neither. Raises `UsageError`."""
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if token:
        return checked_token(token, TOKEN_VARIABLE)
    path = environ.get(TOKEN_FILE_VARIABLE, "")
    return read_token(Path(path), TOKEN_FILE_VARIABLE) if path else ""


def read_token(path: Path, what: str) -> str:
    """The token in a file. Raises `UsageError` that names `what` and the file, and never what is in it."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_TOKEN_BYTES).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise UsageError(f"{what}: {path} cannot be read: {error.strerror}.") from error
    return checked_token(text, f"{what}: {path}")


def checked_token(text: str, what: str) -> str:
    """The text, if it can be sent in a header. Raises `UsageError` without the text in it."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(
            f"{what} holds no token: it is one word such as tg_3_..., as `tidegate token create` shows it."
        )
    return text


def parse_url(text: str, what: str) -> URL:
    """A manager's address, without a slash or `/api/v1` at its end. Raises `UsageError`."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host or url.user or url.password or url.query or url.fragment:
        shown = "the address" if "@" in text else repr(text)  # what stands before an @ may be a password
        raise UsageError(f"{what}: {shown} is no manager's address; write one such as https://tidegate.example.com.")
    path = url.path.rstrip("/").removesuffix(f"/{_API}")
    return url.with_path(path) if path else url.origin()


def login_path(environ: Mapping[str, str]) -> Path:
    """Where the login is kept."""
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".config")
    return Path(home) / "tidegate" / "config.json"


def keep_login(login: Login, environ: Mapping[str, str]) -> Path:
    """Write it so that nobody else can read it; where. Raises `UsageError`."""
    path = login_path(environ)
    text = json.dumps({"url": str(login.url), "token": login.token}, indent=2) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A temporary file is made with 0600, and takes the old one's place whole.
        with NamedTemporaryFile("w", dir=path.parent, prefix=".config-", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)  # noqa: PTH105 - both names are there already
    except OSError as error:
        raise UsageError(f"The login cannot be kept in {path}: {error.strerror}.") from error
    return path


def forget_login(environ: Mapping[str, str], url: URL | None = None) -> Path | None:
    """Remove the login that is kept, of any address or only of this one; where it was. Raises `UsageError`."""
    path = login_path(environ)
    if url is not None and _kept(environ)[0] != url:
        return None
    try:
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be removed: {error.strerror}.") from error
    return path


def open_to_others(environ: Mapping[str, str]) -> str:
    """A warning where others can read the login that is kept; else nothing."""
    path = login_path(environ)
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if not stat.S_IMODE(mode) & 0o077:
        return ""
    return f"{path} can be read by others, and holds a token: run `chmod 600 {path}`."


def _kept(environ: Mapping[str, str]) -> tuple[URL | None, str]:
    path = login_path(environ)
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError):
        raise UsageError(f"{path} cannot be read: run `tidegate login URL` again, or remove it.") from None
    if not isinstance(document, dict) or not all(isinstance(document.get(one), str) for one in ("url", "token")):
        raise UsageError(f"{path} holds no login: run `tidegate login URL` again, or remove it.")
    return parse_url(document["url"], str(path)), checked_token(document["token"], str(path))
