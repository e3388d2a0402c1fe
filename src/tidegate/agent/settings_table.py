"""Every setting of the agent: the one source for parsing, for `--help` and for the tables in docs/."""

from dataclasses import dataclass

from tidegate.agent import settings_kinds as kinds
from tidegate.agent.settings_kinds import Kind
from tidegate.agent.settings_refused import REFUSED_SETTINGS


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    `field` is its name in `Settings`; `default` is written as a person would, empty for none. `refused` is the
    sentence that says why it cannot be had; such a setting is refused as soon as it is given a value (a boolean:
    the value true).
    """

    field: str
    flag: str
    envs: tuple[str, ...]
    kind: Kind
    default: str
    meaning: str
    short: str = ""
    secret: bool = False
    refused: str = ""

    @property
    def is_bool(self) -> bool:
        """Whether its flag stands alone on a command line."""
        return self.kind in {kinds.BOOL, kinds.PRESENT}


def _w(
    flag: str, kind: Kind, default: str, meaning: str, *, short: str = "", env: str = "", field: str = ""
) -> Setting:
    """A setting of Watchtower's, with our own name for its variable beside Watchtower's."""
    word = flag.replace("-", "_")
    theirs = env or word.upper()
    envs = (f"WATCHTOWER_{theirs}", f"TIDEGATE_{word.upper()}")
    return Setting(field or word, flag, envs, kind, default, meaning, short)


def _own(flag: str, kind: Kind, default: str, meaning: str, *, field: str = "") -> Setting:
    """A setting that only Tidegate has."""
    word = flag.replace("-", "_")
    return Setting(field or word, flag, (f"TIDEGATE_{word.upper()}",), kind, default, meaning)


def _env(
    name: str, kind: Kind, default: str, meaning: str, *, flag: str = "", short: str = "", field: str = ""
) -> Setting:
    """A setting whose variable has a name of its own."""
    return Setting(field or name.lower(), flag, (name,), kind, default, meaning, short)


ENGINE = (
    _env("DOCKER_HOST", kinds.HOST, "unix:///var/run/docker.sock", "The engine's address.", flag="host", short="H"),
    _env(
        "DOCKER_TLS_VERIFY",
        kinds.BOOL,
        "false",
        "Use TLS to the engine and verify it.",
        flag="tlsverify",
        short="v",
    ),
    _env("DOCKER_CERT_PATH", kinds.PATH, "", "The folder with ca.pem, cert.pem and key.pem for TLS to the engine."),
    _env(
        "DOCKER_API_VERSION",
        kinds.API_VERSION,
        "",
        "The newest version of the engine's API to speak; without it, it is negotiated.",
        flag="api-version",
        short="a",
    ),
    _env("DOCKER_CONFIG", kinds.PATH, "", "The folder with config.json, which names the registries' credentials."),
    _env("TZ", kinds.ZONE, "UTC", "The time zone of the schedule and of windows that name none.", field="timezone"),
)

WHEN = (
    Setting(
        "interval_s",
        "interval",
        ("WATCHTOWER_POLL_INTERVAL", "WATCHTOWER_INTERVAL", "TIDEGATE_INTERVAL"),
        kinds.INTERVAL,
        "86400",
        "The time between two checks; a plain number is seconds. Not together with a schedule.",
        "i",
    ),
    _w(
        "schedule",
        kinds.SCHEDULE,
        "",
        "When to check, in place of the interval.",
        short="s",
        field="schedule_text",
    ),
    _w("run-once", kinds.BOOL, "false", "Check once, update, and exit.", short="R"),
    _w(
        "http-api-update",
        kinds.BOOL,
        "false",
        "Serve /v1/update; it takes the place of polling unless http-api-periodic-polls is set.",
    ),
    _w("http-api-periodic-polls", kinds.BOOL, "false", "Poll as well while /v1/update is served."),
    _w("http-api-metrics", kinds.BOOL, "false", "Serve /v1/metrics."),
    Setting(
        "http_api_token",
        "http-api-token",
        ("WATCHTOWER_HTTP_API_TOKEN", "TIDEGATE_HTTP_API_TOKEN"),
        kinds.SECRET,
        "",
        "The token that requests to the HTTP API carry; without one the API does not start.",
        secret=True,
    ),
    _own("http-listen", kinds.LISTEN, ":8080", "Where the HTTP API listens."),
)

WHICH = (
    _w("label-enable", kinds.BOOL, "false", "Only containers whose enable label is true.", short="e"),
    _w("disable-containers", kinds.WORDS, "", "Names of containers to leave alone.", short="x"),
    _w("scope", kinds.TEXT, "", "Only containers with this scope; `none`: only those without one."),
    _w("include-stopped", kinds.BOOL, "false", "Also containers that are created or exited.", short="S"),
    _w("include-restarting", kinds.BOOL, "false", "Also containers that are restarting."),
    _w("revive-stopped", kinds.BOOL, "false", "Start a stopped container after its update."),
    _w("label-take-precedence", kinds.BOOL, "false", "Labels for monitor-only and no-pull win over the settings."),
    _w("monitor-only", kinds.BOOL, "false", "Report new releases, install none.", short="m"),
    _w("no-pull", kinds.BOOL, "false", "Look only at the engine's own images; never ask a registry."),
)

HOW = (
    _w(
        "stop-timeout",
        kinds.DURATION,
        "",
        "How long a container may take to stop before it is killed; without it, each container's own time.",
        short="t",
        env="TIMEOUT",
        field="stop_timeout_s",
    ),
    _w("rolling-restart", kinds.BOOL, "false", "One container at a time; Tidegate never does otherwise."),
    _w(
        "cleanup",
        kinds.BOOL,
        "false",
        "Remove images of earlier releases, but for the last keep-images.",
        short="c",
    ),
    _w(
        "enable-lifecycle-hooks",
        kinds.BOOL,
        "false",
        "Run the commands of Watchtower's lifecycle labels.",
        env="LIFECYCLE_HOOKS",
        field="lifecycle_hooks",
    ),
    _own("strategy", kinds.STRATEGY, "auto", "How new containers take over, where no label says."),
    _own("cut", kinds.CUT, "graceful", "Whether requests in flight are waited for, where no label says."),
    _own(
        "drain",
        kinds.DURATION,
        "0s",
        "How long an old container still serves beside the new one.",
        field="drain_s",
    ),
    _own(
        "settle",
        kinds.DURATION,
        "10s",
        "How long a container without a check must keep running.",
        field="settle_s",
    ),
    _own(
        "health-timeout",
        kinds.DURATION,
        "5m",
        "How long a new container may take to be healthy.",
        field="health_timeout_s",
    ),
    _own("bake", kinds.DURATION, "30s", "How long a serving container is still watched.", field="bake_s"),
    _own("window", kinds.WINDOWS, "", "When updates may begin: `CRON DURATION [ZONE]`.", field="windows"),
    _own("freeze", kinds.FREEZES, "", "When no update may begin: `FROM/TO [ZONE] [REASON]`.", field="freezes"),
    _own(
        "busy-wait",
        kinds.DURATION,
        "0s",
        "How long an agent without a manager waits for a service that says it is busy; 0 is without limit.",
        field="busy_wait_s",
    ),
    _own("busy-then", kinds.BUSY_THEN, "skip", "What it does then: skip the release, or force the update."),
    _own("cooldown", kinds.DURATION, "0s", "How long a release must have been known.", field="cooldown_s"),
    _own("keep-images", kinds.COUNT, "", "Images of earlier releases kept for a rollback: 5, or 1 with cleanup."),
    _own(
        "failed-output",
        kinds.COUNT,
        "50",
        "Lines that are kept of what a failed container wrote last, without secrets as far as they can be told.",
    ),
    _own("overlap", kinds.BOOL, "false", "Two containers may write to the same volumes at once."),
    _own("ingress-networks", kinds.LIST, "", "Networks that new containers join only once they are healthy."),
    _own(
        "private-subnets",
        kinds.SUBNETS,
        "10.213.0.0/16",
        "Where private networks for trying releases get /27s from.",
    ),
)

REGISTRY = (
    Setting("repo_user", "", ("REPO_USER",), kinds.SECRET, "", "The user for every registry.", secret=True),
    Setting("repo_pass", "", ("REPO_PASS",), kinds.SECRET, "", "The password for every registry.", secret=True),
    _w(
        "warn-on-head-failure",
        kinds.choice("auto", "always", "never"),
        "auto",
        "A look at a registry that failed is a warning in the log (auto is always); with never it is only information.",
    ),
    _own("allow-repositories", kinds.REPOSITORIES, "", "Only install images of these repositories; empty: of all."),
    _own("registry-ca", kinds.AUTHORITIES, "", "Certificates to trust for registries, beside the system's."),
    _own("insecure-registries", kinds.HOSTS, "", "Registries that are spoken to without TLS."),
    _own(
        "signatures",
        kinds.PATH,
        "",
        "The TOML file that says which images must be signed, and by whom; empty: none.",
        field="signatures_file",
    ),
)

PROCESS = (
    _own("state", kinds.PATH, "/var/lib/tidegate", "The folder for history, quarantine and journal."),
    _w(
        "log-format",
        kinds.choice("auto", "logfmt", "pretty", "json"),
        "auto",
        "How log lines look; auto: pretty on a terminal.",
        short="l",
    ),
    _w("log-level", kinds.LEVEL, "info", "The least important log lines to show."),
    _w("debug", kinds.BOOL, "false", "The same as a log level of debug.", short="d"),
    _w("trace", kinds.BOOL, "false", "The same as a log level of trace; credentials are never shown."),
    Setting("no_color", "no-color", ("NO_COLOR",), kinds.PRESENT, "false", "No colours in tables and log lines."),
    Setting(
        "compat",
        "",
        ("WATCHTOWER_COMPAT",),
        kinds.choice("upstream"),
        "upstream",
        "Where Watchtower and its fork nf differ, Watchtower is followed; nf is refused.",
    ),
    _w("no-startup-message", kinds.BOOL, "false", "Do not say at the start what will be done and when."),
    Setting(
        "health_check",
        "health-check",
        (),
        kinds.BOOL,
        "false",
        "Exit with 0 if an agent runs here; for health checks.",
    ),
    Setting("show_help", "help", (), kinds.BOOL, "false", "Show all settings.", "h"),
    Setting("show_version", "version", (), kinds.BOOL, "false", "Show the version."),
)

REFUSED = tuple(
    Setting("", flag, envs, kind, "", meaning, short, secret=True, refused=why)
    for flag, envs, kind, meaning, short, why in REFUSED_SETTINGS
)

MANAGER = (
    _own("manager", kinds.MANAGER, "", "The manager that says what is updated and when; without it, the agent does."),
    Setting(
        "enrol_token",
        "",
        ("TIDEGATE_ENROL_TOKEN",),
        kinds.SECRET,
        "",
        "The token that the agent enrols with at its first start, once.",
        secret=True,
    ),
    _env("TIDEGATE_ENROL_TOKEN_FILE", kinds.PATH, "", "The file that holds it; it may come later.", field="enrol_file"),
    _own("agent-name", kinds.AGENT_NAME, "", "What the manager calls the agent; without it, the host's name."),
    _own("manager-ca", kinds.AUTHORITIES, "", "Certificates to trust for the manager, beside the system's."),
)

WATCHTOWER = (
    _own(
        "update-engine",
        kinds.choice("tidegate", "watchtower"),
        "tidegate",
        "Who replaces containers where a manager is set: the agent itself, or a Watchtower beside it, on its behalf.",
    ),
    _own("watchtower", kinds.MANAGER, "http://watchtower:8080", "The address of that Watchtower's HTTP API."),
    Setting(
        "watchtower_token",
        "",
        ("TIDEGATE_WATCHTOWER_TOKEN",),
        kinds.TOKEN,
        "",
        "The token of that API: Watchtower's WATCHTOWER_HTTP_API_TOKEN.",
        secret=True,
    ),
)

GROUPS: tuple[tuple[str, tuple[Setting, ...]], ...] = (
    ("Engine", ENGINE),
    ("When to check", WHEN),
    ("Which containers", WHICH),
    ("How to update", HOW),
    ("Registries", REGISTRY),
    ("The manager", MANAGER),
    ("Watchtower as the updater", WATCHTOWER),
    ("The process", PROCESS),
    ("Refused", REFUSED),
)

SETTINGS: tuple[Setting, ...] = tuple(setting for _, group in GROUPS for setting in group)
