"""Every setting of the manager: the one source for parsing, for `tidegate manager serve --help` and for docs/."""

from dataclasses import dataclass

from tidegate.agent import settings_kinds as kinds
from tidegate.agent.settings_kinds import Kind
from tidegate.manager import settings_kinds as own


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable. `field` is its name in `ManagerSettings`; `default` is written as a person would, empty: none."""

    field: str
    env: str
    kind: Kind
    default: str
    meaning: str
    secret: bool = False


def _s(name: str, kind: Kind, default: str, meaning: str, *, field: str = "", secret: bool = False) -> Setting:
    return Setting(field or name, f"TIDEGATE_{name.upper()}", kind, default, meaning, secret)


def _secret(name: str, meaning: str) -> Setting:
    return _s(name, kinds.SECRET, "", meaning, secret=True)


STORE = (
    _s("data", kinds.PATH, "/var/lib/tidegate-manager", "The folder for the database and the signing key."),
    _s(
        "database_url",
        own.DATABASE,
        "",
        "The database; without it, SQLite in the data folder.",
        secret=True,
    ),
    _s(
        "signing_key",
        kinds.PATH,
        "",
        "The file of the Ed25519 key that signs what agents are told, made at the first start; without it, "
        "signing.key in the data folder.",
        field="signing_key_file",
    ),
)

SERVER = (
    _s("listen", kinds.LISTEN, "127.0.0.1:8080", "Where the manager listens; port 0 takes a free one."),
    _s("tls_cert", own.FILE, "", "The certificate, and its chain, in PEM; without it, TLS is a proxy's in front."),
    _s("tls_key", own.FILE, "", "The certificate's private key in PEM."),
    _s(
        "trusted_proxies",
        own.NETWORKS,
        "",
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; without it, nobody's.",
    ),
    _s("public_url", own.URL, "", "The address that people reach the manager at, for links in what it sends."),
    _s("max_request", own.SIZE, "2MiB", "The largest request body.", field="max_request_bytes"),
    _s("rate", own.RATE, "50/s", "How many requests a token may make; bursts of four times that pass."),
    _s("rate_address", own.RATE, "10/s", "How many requests without a valid token an address may make."),
    _s("rate_agent", own.RATE, "20/s", "How many requests an agent may make; bursts of four times that pass."),
    _s("agent_targets", kinds.COUNT, "2000", "How many targets an agent may have."),
    _s("metrics_public", kinds.BOOL, "false", "/metrics answers without a token; else it takes any valid one."),
    _s("session", kinds.INTERVAL, "12h", "How long who has signed in to the console stays so.", field="session_s"),
    _s("shutdown", kinds.DURATION, "5s", "How long requests under way may take at the end.", field="shutdown_s"),
)

SIGN_IN = (
    _s(
        "oidc_issuer",
        own.ISSUER,
        "",
        "The OpenID provider for signing in to the console; without it, by token alone.",
    ),
    _s("oidc_client_id", kinds.TEXT, "", "What the provider knows the manager as."),
    _secret("oidc_client_secret", "The secret that the provider knows the manager by."),
    _s("oidc_name", kinds.TEXT, "single sign-on", "What the button says after `Sign in with`."),
    _s("oidc_scopes", own.SCOPES, "openid profile email", "What the provider is asked for."),
    _s(
        "oidc_user_claim",
        kinds.TEXT,
        "email",
        "The claim that is the user's name; `email` counts only where `email_verified` does.",
    ),
    _s("oidc_role_claim", kinds.TEXT, "groups", "The claim, a text or a list, whose values give a role."),
    _s("oidc_roles", own.ROLES, "", "Which value gives which role; the first that somebody has counts."),
    _s("oidc_ca", kinds.AUTHORITIES, "", "Certificates to trust for the provider, beside the system's."),
)

RELEASES = (
    _s("poll_interval", kinds.INTERVAL, "5m", "The time between two looks at a channel.", field="poll_interval_s"),
    Setting("docker_config", "DOCKER_CONFIG", kinds.PATH, "", "The folder with config.json, which names credentials."),
    Setting("repo_user", "REPO_USER", kinds.SECRET, "", "The user for every registry.", secret=True),
    Setting("repo_pass", "REPO_PASS", kinds.SECRET, "", "The password for every registry.", secret=True),
    _s("registry_ca", kinds.AUTHORITIES, "", "Certificates to trust for registries, beside the system's."),
    _s("insecure_registries", kinds.HOSTS, "", "Registries that are spoken to without TLS."),
    _secret("webhook_github", "The secret that GitHub signs its webhooks with; without one they are refused."),
    _secret("webhook_distribution", "The bearer token that the distribution registry sends."),
    _secret("webhook_dockerhub", "The token of Docker Hub's webhooks."),
    _secret("webhook_harbor", "The Authorization header that Harbor sends."),
    _secret("webhook_generic", "The secret of plain webhooks: a bearer token, or what they are signed with."),
)

ALERTS = (
    _s("alert_webhooks", own.URLS, "", "Where alerts are posted as JSON.", secret=True),
    _secret("alert_webhook_secret", "The secret that posted alerts are signed with."),
    _s("smtp", own.SMTP, "", "The server that alerts are mailed through.", field="smtp_url", secret=True),
    _s("mail_from", own.ADDRESS, "", "The sender of mailed alerts."),
    _s("mail_to", own.ADDRESSES, "", "Who gets mailed alerts."),
    _s("apprise", own.WORDS, "", "Apprise's addresses for alerts; needs the `apprise` extra.", secret=True),
    _s(
        "offline_after",
        kinds.INTERVAL,
        "3m",
        "How long an agent is silent before it is offline; 90s or more.",
        field="offline_s",
    ),
    _s("alert_ca", kinds.AUTHORITIES, "", "Certificates to trust where alerts are sent to, beside the system's."),
    _s(
        "alert_offline_after",
        kinds.INTERVAL,
        "10m",
        "How long an agent is silent before that is an alert.",
        field="alert_offline_s",
    ),
    _s(
        "alert_drift_after",
        kinds.DURATION,
        "10m",
        "How long a target runs what it should not before that is an alert.",
        field="alert_drift_s",
    ),
    _s(
        "alert_approval_after",
        kinds.DURATION,
        "4h",
        "How long a rollout waits for approval before that is an alert.",
        field="alert_approval_s",
    ),
    _s(
        "alert_channel_failures",
        kinds.COUNT,
        "5",
        "How often in a row a channel's registry could not be asked before that is an alert.",
    ),
    _s(
        "alert_calm",
        kinds.DURATION,
        "5m",
        "How long what comes and goes has to be over before its alert is; the more often it comes, the longer.",
        field="alert_calm_s",
    ),
    _s("feed_keep", kinds.INTERVAL, "7d", "How long events can be followed afterwards.", field="feed_keep_s"),
    _s("feed_most", kinds.COUNT, "1000000", "How many events can be followed afterwards."),
)

PROCESS = (
    _s(
        "log_format",
        kinds.choice("auto", "logfmt", "pretty", "json"),
        "auto",
        "How log lines look; auto: pretty on a terminal.",
    ),
    _s("log_level", kinds.LEVEL, "info", "The least important log lines to show."),
    Setting("no_color", "NO_COLOR", kinds.PRESENT, "false", "No colours in log lines."),
)

GROUPS: tuple[tuple[str, tuple[Setting, ...]], ...] = (
    ("What it keeps", STORE),
    ("The server", SERVER),
    ("Signing in by OpenID Connect", SIGN_IN),
    ("Releases", RELEASES),
    ("Alerts", ALERTS),
    ("The process", PROCESS),
)

SETTINGS: tuple[Setting, ...] = tuple(setting for _, group in GROUPS for setting in group)
