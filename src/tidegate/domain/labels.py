"""Every container label that Tidegate reads: its own, and Watchtower's with Watchtower's meaning.

The table is the one source for reading labels, for finding misspelt ones and for docs/settings.md.
"""

from dataclasses import dataclass

from tidegate.domain.durations import EXAMPLES as DURATION
from tidegate.domain.values import BOOL_TAKES as BOOL

OWN = "tidegate."
WATCHTOWER = "com.centurylinklabs.watchtower"
ORIGINAL_IMAGE = "com.centurylinklabs.zodiac.original-image"
STOP_SIGNAL = f"{WATCHTOWER}.stop-signal"

FOLLOWS = f"{OWN}follows"
"""On a container that was pinned to a digest: the reference that it follows all the same."""

INTERNAL = frozenset({FOLLOWS, *(f"{OWN}{name}" for name in ("transaction", "private-for", "helper", "instance"))})
"""Labels that Tidegate sets itself; people do not."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label. `key` is its name after `tidegate.`, `watchtower` the full name of Watchtower's, if any."""

    key: str
    watchtower: str
    takes: str
    default: str
    meaning: str

    @property
    def name(self) -> str:
        """The full name of our own label, or nothing where only Watchtower has one."""
        return f"{OWN}{self.key}" if self.key else ""


def _both(key: str, takes: str, default: str, meaning: str) -> Label:
    return Label(key, f"{WATCHTOWER}.{key}", takes, default, meaning)


def _hook(key: str, meaning: str) -> Label:
    return Label(f"hook.{key}", f"{WATCHTOWER}.lifecycle.{key}", "a command for `sh -c`", "none", meaning)


def _own(key: str, takes: str, default: str, meaning: str) -> Label:
    return Label(key, "", takes, default, meaning)


LABELS: tuple[Label, ...] = (
    _both("enable", BOOL, "unset", "`false` leaves the container alone; `true` is what `--label-enable` asks for."),
    _both("scope", "a name", "unset", "The agent with the same `--scope` looks after this container."),
    _both("monitor-only", BOOL, "false", "New releases are reported, not installed."),
    _both("no-pull", BOOL, "false", "Only the engine's own images are looked at; the registry is not asked."),
    _own(
        "strategy",
        "auto, start-first, swap or stop-first",
        "auto",
        "How the new container takes over; `plan` says why where it cannot be had.",
    ),
    _own(
        "ingress-networks",
        "a comma list of networks",
        "unset",
        "Networks that the new container joins only after it proved healthy.",
    ),
    _own("overlap", BOOL, "false", "Two containers may write to the same volumes at once."),
    _own("cut", "graceful or fast", "graceful", "Whether the old container finishes its requests before the cut."),
    _own("drain", DURATION, "0s", "How long the old container still serves after the new one is ready."),
    _hook("pre-check", "Runs in the container before each check for new releases."),
    _hook("post-check", "Runs in the container after each check for new releases."),
    _hook(
        "pre-update",
        "Runs in the old container before its update. Exit 75 means busy: it is asked again after a minute.",
    ),
    _hook("post-update", "Runs in the new container once it serves."),
    Label(
        "hook.pre-update-timeout",
        f"{WATCHTOWER}.lifecycle.pre-update-timeout",
        f"{DURATION}; Watchtower's label: whole minutes",
        "1m",
        "How long the pre-update hook may take; 0 is without limit.",
    ),
    Label(
        "hook.post-update-timeout",
        f"{WATCHTOWER}.lifecycle.post-update-timeout",
        f"{DURATION}; Watchtower's label: whole minutes",
        "1m",
        "How long the post-update hook may take; 0 is without limit.",
    ),
    _own(
        "hook.drain",
        "a command for `sh -c`",
        "none",
        "Runs in the old container before it is stopped; it may wait.",
    ),
    _own("hook.drain-timeout", DURATION, "1m", "How long the drain hook may take; 0 is without limit."),
    _own("probe.http", "`:PORT/PATH`", "none", "The new container is healthy when this answers with 2xx or 3xx."),
    _own("probe.tcp", "`:PORT`", "none", "The new container is healthy when this port accepts a connection."),
    _own(
        "probe.exec",
        "a command for `sh -c`",
        "none",
        "The new container is healthy when this command exits with 0.",
    ),
    _own("probe.interval", DURATION, "1s", "The time between two probes."),
    _own("probe.timeout", DURATION, "5s", "How long one probe may take."),
    _own(
        "settle",
        DURATION,
        "10s",
        "How long a container without a health check must keep running, without a restart.",
    ),
    _own("health-timeout", DURATION, "5m", "How long the new container may take to become healthy."),
    _own("bake", DURATION, "30s", "How long the new container is still watched after it began to serve."),
    _own("window", "`CRON DURATION [ZONE]`, several separated by `;`", "always", "When updates may begin."),
    _own("freeze", "`FROM/TO [ZONE] [REASON]`, several separated by `;`", "never", "When no update may begin."),
    _own(
        "busy-wait",
        DURATION,
        "0s: without limit",
        "How long an agent without a manager waits for a service whose pre-update hook says busy.",
    ),
    _own(
        "busy-then",
        "skip or force",
        "skip",
        "What it does then: `skip` waits for the next release, `force` updates all the same.",
    ),
    _own("cooldown", DURATION, "0s", "How long a release must have been known before it is installed."),
    _own("group", "a name", "none", "Services of a cluster with the same group are updated, or put back, together."),
    _both("depends-on", "a comma list of container or service names", "unset", "What this container depends on."),
    _own(
        "keep-images",
        "a whole number",
        "5, and none is removed; 1 with `--cleanup`",
        "How many earlier images are kept for a rollback.",
    ),
    Label(
        "",
        STOP_SIGNAL,
        "a signal such as SIGTERM, TERM, SIGRTMIN+3 or 15",
        "the container's own",
        "The signal that asks the old container to stop.",
    ),
    Label(
        "",
        ORIGINAL_IMAGE,
        "an image reference",
        "the container's image",
        "The reference to follow in place of the one that the container was created from.",
    ),
    Label(
        "",
        WATCHTOWER,
        BOOL,
        "unset",
        "Marks a Watchtower instance, which is left alone.",
    ),
)

BY_FULL_NAME = {label.watchtower: label for label in LABELS if label.watchtower}

BY_KEY = {label.key: label for label in LABELS if label.key}

KNOWN_OWN = tuple(label.name for label in LABELS if label.key)
KNOWN_WATCHTOWER = tuple(label.watchtower for label in LABELS if label.watchtower)
