"""The agent's settings: read once from flags and environment, validated, and refused in full sentences."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import tzinfo
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import urlsplit

from tidegate.agent.schedule import Every, Schedule, parse_schedule
from tidegate.agent.settings_parse import Found, Given, read_arguments, read_environment
from tidegate.agent.settings_table import SETTINGS, Setting
from tidegate.domain.policy import Cut, PolicyDefaults
from tidegate.domain.rollout_policy import BusyThen
from tidegate.domain.selection import Filters
from tidegate.domain.signature_policy import SignaturePolicy, SignaturePolicyError
from tidegate.domain.transaction import Strategy
from tidegate.domain.windows import WindowError

WATCHTOWER_ENGINE = "watchtower"


class SettingsError(Exception):
    """Settings that cannot be used; `sentences` has one for each, and none shows a secret."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the agent was told. What each means is in `settings_table`.

    `stop_timeout_s` None: each container's own. `strategy` None: auto. `keep_images` None: all. `scope` None:
    no scope filter. `docker_api_version` None: negotiated. `signatures` is what `signatures_file` says, None: nothing
    is verified. `warnings` are sentences to log at the start.
    """

    docker_host: str
    docker_tls_verify: bool
    docker_cert_path: Path | None
    docker_api_version: str | None
    docker_config: Path | None
    timezone: tzinfo
    interval_s: float
    schedule_text: str | None
    schedule: Schedule
    run_once: bool
    http_api_update: bool
    http_api_periodic_polls: bool
    http_api_metrics: bool
    http_api_token: str | None = field(repr=False)
    http_listen: tuple[str, int]
    label_enable: bool
    disable_containers: tuple[str, ...]
    scope: str | None
    include_stopped: bool
    include_restarting: bool
    revive_stopped: bool
    label_take_precedence: bool
    monitor_only: bool
    no_pull: bool
    stop_timeout_s: float | None
    rolling_restart: bool
    cleanup: bool
    lifecycle_hooks: bool
    strategy: Strategy | None
    cut: Cut
    drain_s: float
    settle_s: float
    health_timeout_s: float
    bake_s: float
    windows: tuple[str, ...]
    freezes: tuple[str, ...]
    busy_wait_s: float
    busy_then: BusyThen
    cooldown_s: float
    keep_images: int | None
    failed_output: int
    overlap: bool
    ingress_networks: tuple[str, ...]
    private_subnets: tuple[IPv4Network, ...]
    repo_user: str | None = field(repr=False)
    repo_pass: str | None = field(repr=False)
    warn_on_head_failure: str
    allow_repositories: tuple[str, ...]
    registry_ca: Path | None
    insecure_registries: tuple[str, ...]
    signatures_file: Path | None
    signatures: SignaturePolicy | None
    manager: str | None
    enrol_token: str | None = field(repr=False)
    enrol_file: Path | None
    agent_name: str
    manager_ca: Path | None
    update_engine: str
    watchtower: str
    watchtower_token: str | None = field(repr=False)
    state: Path
    log_format: str
    log_level: str
    debug: bool
    trace: bool
    no_color: bool
    compat: str
    no_startup_message: bool
    health_check: bool
    show_help: bool
    show_version: bool
    names: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def polls(self) -> bool:
        """Whether it looks for new releases by itself; Watchtower does not while /v1/update is served."""
        return not self.http_api_update or self.http_api_periodic_polls

    @property
    def managed(self) -> bool:
        """Whether a manager says what is updated."""
        return self.manager is not None

    def enrolment_token(self) -> str | None:
        """The token to enrol with, as it is now; None where none was given, or its file is not there (yet)."""
        if self.enrol_token is not None or self.enrol_file is None:
            return self.enrol_token
        try:
            return self.enrol_file.read_text().strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    @property
    def policy_defaults(self) -> PolicyDefaults:
        """What holds for a container whose labels say nothing."""
        shared = {f.name: getattr(self, f.name) for f in fields(PolicyDefaults)}
        return PolicyDefaults(**shared)

    def filters(self, *, self_id: str | None = None) -> Filters:
        """What `select` takes."""
        return Filters(
            names=self.names,
            disabled=self.disable_containers,
            repositories=self.allow_repositories,
            label_enable=self.label_enable,
            scope=self.scope,
            include_stopped=self.include_stopped,
            include_restarting=self.include_restarting,
            self_id=self_id,
        )


def load_settings(argv: Sequence[str], environ: Mapping[str, str], *, beneath: Sequence[str] = ()) -> Settings:
    """Settings from flags (after `agent run`) over the environment. Raises `SettingsError` with all faults.

    `beneath` are flags that hold where `argv` does not say; names among them are left out.
    """
    found, under = Found(), Found()
    read_arguments(argv, found)
    read_arguments(beneath, under)
    layers = [found.given, under.given, read_environment(environ, found)]
    values: dict[str, Any] = {}
    given: set[str] = set()
    for setting in SETTINGS:
        each = [[one for one in layer if one.setting is setting] for layer in layers]
        ours = next((_merged(some) for some in each[:2] if some), each[2])
        _settle(setting, ours, values, found)
        given.update(one.setting.field for one in ours if one.text)
    _check_together(values, given, found)
    _check_signatures(values, environ, found)
    if found.errors:
        raise SettingsError(found.errors)
    return Settings(**_finished(values), names=tuple(found.names), warnings=tuple(found.warnings))


def _merged(given: Sequence[Given]) -> list[Given]:
    """One value of a flag that was given several times: lists add up, of others the last counts."""
    last = given[-1]
    separator = last.setting.kind.separator
    return [replace(last, text=separator.join(one.text for one in given if one.text)) if separator else last]


def _settle(setting: Setting, given: list[Given], values: dict[str, Any], found: Found) -> None:
    """Read the values of one setting; two variables for it must agree."""
    read = [(one, _read(one, found)) for one in given]
    if setting.refused:
        found.errors.extend(f"{one.origin} is refused: {setting.refused}." for one, value in read if value)
        return
    if len({str(value) for _, value in read}) > 1:
        origins = " and ".join(one.origin for one, _ in read)
        found.errors.append(f"{origins} are one setting with different values: give one of them.")
    values[setting.field] = read[0][1] if read else _default(setting)


def _read(given: Given, found: Found) -> Any:
    kind = given.setting.kind
    if not given.text and not given.setting.is_bool:
        return _default(given.setting)  # `--scope "$UNSET"` says nothing
    try:
        return kind.read(given.text)
    except (ValueError, OverflowError) as error:
        shown = "has a value that cannot be used" if given.setting.secret else f"is {given.text!r}"
        why = f" {error}" if isinstance(error, WindowError) else ""
        found.errors.append(f"{given.origin} {shown}; it takes {kind.takes}.{why}")
        return None


def _default(setting: Setting) -> Any:
    """An empty default is None, or the empty value of a kind that reads lists."""
    if setting.default:
        return setting.kind.read(setting.default)
    return () if setting.kind.separator else None


def _check_together(values: dict[str, Any], given: Iterable[str], found: Found) -> None:
    """Rules between settings."""
    if {"interval_s", "schedule_text"} <= set(given):
        found.errors.append("An interval and a schedule are both set: give one of them.")
    if (values["http_api_update"] or values["http_api_metrics"]) and not values["http_api_token"]:
        found.errors.append("WATCHTOWER_HTTP_API_TOKEN is empty: the HTTP API does not start without a token.")
    if len({"repo_user", "repo_pass"} & set(given)) == 1:
        found.errors.append("REPO_USER and REPO_PASS belong together: set both or none.")
    if values["revive_stopped"] and not values["include_stopped"]:
        found.warnings.append("revive-stopped has no effect without include-stopped.")
    if not found.strange:
        for name in found.names:
            _check_name(name, found)
    _check_schedule(values, found)
    _check_manager(values, given, found)
    _check_watchtower(values, given, found)


def _check_name(name: str, found: Found) -> None:
    try:
        re.compile(name)
    except (re.error, OverflowError, RecursionError) as error:
        found.errors.append(f"The name {name!r} is neither a container's name nor a regular expression: {error}.")


def _check_schedule(values: dict[str, Any], found: Found) -> None:
    text = values["schedule_text"]
    values["schedule"] = Every(values["interval_s"] or 1.0)
    if text is None or values["timezone"] is None:
        return
    try:
        values["schedule"] = parse_schedule(text, values["timezone"])
    except ValueError as error:
        takes = next(s.kind.takes for s in SETTINGS if s.field == "schedule_text")
        found.errors.append(f"WATCHTOWER_SCHEDULE (--schedule) cannot be used: {error}; it takes {takes}.")


def _check_manager(values: dict[str, Any], given: Iterable[str], found: Found) -> None:
    if values["manager"] is None:
        without = {"enrol_token", "enrol_file", "manager_ca"} & set(given)
        if without:
            found.warnings.append("TIDEGATE_MANAGER is not set, so what is told of a manager has no effect.")
        return
    if {"enrol_token", "enrol_file"} <= set(given):
        found.errors.append("TIDEGATE_ENROL_TOKEN and TIDEGATE_ENROL_TOKEN_FILE are both set: give one of them.")
    if values["manager"].startswith("http://") and not _is_near(values["manager"]):
        found.warnings.append(
            f"TIDEGATE_MANAGER is {values['manager']}, without TLS: who is on the way can read what the agent tells, "
            f"and keep assignments from it. Use https://."
        )
    if values["run_once"]:
        found.warnings.append("An agent that looks once carries out no assignments of its manager.")


def _check_watchtower(values: dict[str, Any], given: Iterable[str], found: Found) -> None:
    if values["update_engine"] != WATCHTOWER_ENGINE:
        if {"watchtower", "watchtower_token"} & set(given):
            found.warnings.append("TIDEGATE_UPDATE_ENGINE is not watchtower, so what is told of one has no effect.")
        return
    if values["manager"] is None:
        found.errors.append(
            "TIDEGATE_UPDATE_ENGINE is watchtower, and TIDEGATE_MANAGER is not set: without a manager Watchtower needs "
            "no agent, and an agent no Watchtower."
        )
    if not values["watchtower_token"]:
        found.errors.append(
            "TIDEGATE_WATCHTOWER_TOKEN is empty: it has to be Watchtower's WATCHTOWER_HTTP_API_TOKEN, or a file's path."
        )


def _is_near(url: str) -> bool:
    """Whether an address is this machine's, or a name that only a private network knows, such as a Compose service."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith(".localhost")


def _check_signatures(values: dict[str, Any], environ: Mapping[str, str], found: Found) -> None:
    values["signatures"] = None
    if values["signatures_file"] is None:
        return
    from tidegate.agent.settings_signatures import load_signature_policy  # noqa: PLC0415 - only where it is asked for

    try:
        values["signatures"] = load_signature_policy(values["signatures_file"], environ.get("PATH"))
    except SignaturePolicyError as error:
        found.errors.extend(error.sentences)


def _finished(values: dict[str, Any]) -> dict[str, Any]:
    """What follows from several settings: the log level, and the images that cleanup keeps."""
    if values["trace"] or values["debug"]:
        values["log_level"] = "trace" if values["trace"] else "debug"
    values["agent_name"] = values["agent_name"] or _host_name()
    if values["keep_images"] is None and values["cleanup"]:
        values["keep_images"] = 1
    return values


def _host_name() -> str:
    """The host's name as an agent may be called; what it has in other letters is left out."""
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in gethostname())
    return plain.strip("._-")[:63] or "agent"
