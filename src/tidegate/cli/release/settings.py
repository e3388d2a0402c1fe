"""What the environment says to a pipeline: how registries are spoken to, and the webhook's secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tidegate.agent import settings_kinds as kinds
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.login import CA_VARIABLE
from tidegate.registry.credentials import ConfiguredCredentials, credentials_from

SECRET_VARIABLE: Final = "TIDEGATE_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
SECRET_FILE_VARIABLE: Final = "TIDEGATE_WEBHOOK_SECRET_FILE"  # noqa: S105 - as above
VARIABLES: Final = (SECRET_VARIABLE, SECRET_FILE_VARIABLE)


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """`ca_file` and `insecure` are about registries, `manager_ca` about the manager, as everywhere else."""

    credentials: ConfiguredCredentials
    ca_file: Path | None
    insecure: tuple[str, ...]
    manager_ca: Path | None
    secret: str = field(repr=False)


def read_settings(environ: Mapping[str, str]) -> ReleaseSettings:
    """Settings from variables. Raises `UsageError`, which never shows a secret."""
    user, password = (_read(environ, name, kinds.SECRET, "", secret=True) for name in ("REPO_USER", "REPO_PASS"))
    if bool(user) != bool(password):
        raise UsageError("REPO_USER and REPO_PASS belong together: set both or none.")
    return ReleaseSettings(
        credentials_from({**environ, "REPO_USER": user, "REPO_PASS": password}),
        _read(environ, "TIDEGATE_REGISTRY_CA", kinds.AUTHORITIES, None),
        _read(environ, "TIDEGATE_INSECURE_REGISTRIES", kinds.HOSTS, ()),
        _read(environ, CA_VARIABLE, kinds.AUTHORITIES, None),
        _secret(environ),
    )


def _read(environ: Mapping[str, str], name: str, kind: kinds.Kind, default: Any, *, secret: bool = False) -> Any:
    text = environ.get(name, "").strip()
    try:
        return kind.read(text) if text else default
    except ValueError:
        shown = "has a value that cannot be used" if secret else f"is {text!r}"
        raise UsageError(f"{name} {shown}; it takes {kind.takes}.") from None


def _secret(environ: Mapping[str, str]) -> str:
    """Empty where there is none."""
    path = environ.get(SECRET_FILE_VARIABLE, "")
    if text := environ.get(SECRET_VARIABLE, "").strip():
        return text
    if not path:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{SECRET_FILE_VARIABLE}: {path} cannot be read: {why}.") from None
    if not text:
        raise UsageError(f"{SECRET_FILE_VARIABLE}: {path} is empty.")
    return text
