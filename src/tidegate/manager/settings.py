"""The manager's settings: read once from the environment, validated, and refused in full sentences."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from tidegate.agent.settings_table import SETTINGS as AGENTS
from tidegate.domain.values import near_miss
from tidegate.manager.people.roles import Role
from tidegate.manager.settings_table import SETTINGS, Setting

_ELSEWHERE = {"TIDEGATE_MANAGER_URL", "TIDEGATE_TOKEN", "TIDEGATE_TOKEN_FILE"} | {e for one in AGENTS for e in one.envs}
"""Variables of the command line's other parts, which may stand beside ours."""

_OIDC = {f"oidc_{name}": f"TIDEGATE_OIDC_{name.upper()}" for name in ("issuer", "client_id", "client_secret", "roles")}
"""What nobody can be signed in without by OpenID Connect."""
CALLBACK = "/sign-in/oidc/callback"
"""Where the provider leads people back to, after the manager's public address."""
_POLLED_WITHIN_S = 90
"""Polls are held for a minute at most, and it is their beginning that is heard."""


class ManagerSettingsError(Exception):
    """Settings that cannot be used; one sentence a line, and none shows a secret."""


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """Everything the manager was told. What each means is in `settings_table`.

    `rate`, `rate_address` and `rate_agent` are requests a second. `tls` is made of `tls_cert` and `tls_key`, None:
    no TLS. `warnings` are sentences to log at the start.
    """

    data: Path
    database_url: str = field(repr=False)
    signing_key_file: Path
    listen: tuple[str, int]
    tls_cert: Path | None
    tls_key: Path | None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    public_url: str | None
    max_request_bytes: int
    rate: float
    rate_address: float
    rate_agent: float
    agent_targets: int
    metrics_public: bool
    session_s: float
    shutdown_s: float
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret: str | None = field(repr=False)
    oidc_name: str
    oidc_scopes: str
    oidc_user_claim: str
    oidc_role_claim: str
    oidc_roles: tuple[tuple[str, Role], ...]
    oidc_ca: Path | None
    poll_interval_s: float
    docker_config: Path | None
    repo_user: str | None = field(repr=False)
    repo_pass: str | None = field(repr=False)
    registry_ca: Path | None
    insecure_registries: tuple[str, ...]
    webhook_github: str | None = field(repr=False)
    webhook_distribution: str | None = field(repr=False)
    webhook_dockerhub: str | None = field(repr=False)
    webhook_harbor: str | None = field(repr=False)
    webhook_generic: str | None = field(repr=False)
    alert_webhooks: tuple[str, ...] = field(repr=False)
    alert_webhook_secret: str | None = field(repr=False)
    smtp_url: str | None = field(repr=False)
    mail_from: str | None
    mail_to: tuple[str, ...]
    apprise: tuple[str, ...] = field(repr=False)
    offline_s: float
    alert_ca: Path | None
    alert_offline_s: float
    alert_drift_s: float
    alert_approval_s: float
    alert_channel_failures: int
    alert_calm_s: float
    feed_keep_s: float
    feed_most: int
    log_format: str
    log_level: str
    no_color: bool
    warnings: tuple[str, ...]


def load_manager_settings(environ: Mapping[str, str]) -> ManagerSettings:
    """Settings from variables; an empty one counts as not set. Raises `ManagerSettingsError` with all faults."""
    faults: list[str] = []
    values: dict[str, Any] = {one.field: _value(one, environ.get(one.env, "").strip(), faults) for one in SETTINGS}
    _check_together(values, faults)
    if faults:
        raise ManagerSettingsError("\n".join(faults))
    values["database_url"] = values["database_url"] or f"sqlite:///{values['data'] / 'tidegate.db'}"
    values["signing_key_file"] = values["signing_key_file"] or values["data"] / "signing.key"
    return ManagerSettings(**values, warnings=tuple(_warnings(environ)))


def _value(setting: Setting, text: str, faults: list[str]) -> Any:
    if not text and not setting.default:
        return () if setting.kind.separator else None
    try:
        return setting.kind.read(text or setting.default)
    except (ValueError, OverflowError):
        shown = "has a value that cannot be used" if setting.secret else f"is {text!r}"
        faults.append(f"{setting.env} {shown}; it takes {setting.kind.takes}.")
        return None


def _check_together(values: Mapping[str, Any], faults: list[str]) -> None:
    cert, key = values["tls_cert"], values["tls_key"]
    if (cert is None) != (key is None):
        faults.append("TIDEGATE_TLS_CERT and TIDEGATE_TLS_KEY belong together: set both or none.")
    elif cert is not None:
        _check_tls(cert, key, faults)
    if (values["repo_user"] is None) != (values["repo_pass"] is None):
        faults.append("REPO_USER and REPO_PASS belong together: set both or none.")
    if values["offline_s"] is not None and values["offline_s"] < _POLLED_WITHIN_S:
        faults.append(
            f"TIDEGATE_OFFLINE_AFTER is {values['offline_s']:g} s; it takes {_POLLED_WITHIN_S} s or more: "
            "an agent that is well is heard once a minute."
        )
    if values["smtp_url"] and not (values["mail_from"] and values["mail_to"]):
        faults.append("TIDEGATE_SMTP needs TIDEGATE_MAIL_FROM and TIDEGATE_MAIL_TO beside it.")
    _check_oidc(values, faults)


def _check_oidc(values: Mapping[str, Any], faults: list[str]) -> None:
    wrong = {fault.partition(" ")[0] for fault in faults}
    missing = [env for name, env in _OIDC.items() if not values[name] and env not in wrong]
    if len(missing) == len(_OIDC):
        return
    if missing:
        *first, last = _OIDC.values()
        faults.append(
            f"{', '.join(first)} and {last} belong together: set all or none; "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing."
        )
    if not values["public_url"]:
        faults.append(
            "TIDEGATE_OIDC_ISSUER needs TIDEGATE_PUBLIC_URL beside it: the provider leads people back to that address "
            f"and {CALLBACK}, and has to be told this as the redirect URI."
        )


def _check_tls(cert: Path, key: Path, faults: list[str]) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        faults.append(
            f"TIDEGATE_TLS_CERT and TIDEGATE_TLS_KEY cannot be used ({reason}); they take a certificate "
            "and its own private key without a password, both in PEM."
        )


def _warnings(environ: Mapping[str, str]) -> list[str]:
    ours = [one.env for one in SETTINGS]
    strange = [name for name in sorted(environ) if name.startswith("TIDEGATE_") and name not in {*ours, *_ELSEWHERE}]
    return [f"{name} is not known and has no effect.{near_miss(name, ours)}" for name in strange]
