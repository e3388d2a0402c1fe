"""Watchtower's settings that Tidegate does not have: each is refused at the start with its reason."""

from tidegate.agent import settings_kinds as kinds
from tidegate.agent.settings_kinds import Kind

NO_NOTIFICATIONS = (
    "the agent sends no notifications: unset it and read `tidegate agent history`, the log or /v1/metrics"
)
NO_RESTART = "a release that is not started cannot be proved: unset it, or set monitor-only"
REMOVE_VOLUMES = (
    "a rollback would find its data gone: unset it, and remove volumes yourself with `docker compose rm -v`"
)
PORCELAIN = "its report is Watchtower's own: unset it and use `tidegate agent plan --json`"

_NOTIFICATION_FLAGS: tuple[tuple[str, Kind, str], ...] = (
    ("notifications", kinds.LIST, "n"),
    ("notifications-level", kinds.TEXT, ""),
    ("notifications-delay", kinds.TEXT, ""),
    ("notifications-hostname", kinds.TEXT, ""),
    ("notification-url", kinds.TEXT, ""),
    ("notification-template", kinds.TEXT, ""),
    ("notification-report", kinds.BOOL, ""),
    ("notification-title-tag", kinds.TEXT, ""),
    ("notification-skip-title", kinds.BOOL, ""),
    ("notification-log-stdout", kinds.BOOL, ""),
    ("notification-email-from", kinds.TEXT, ""),
    ("notification-email-to", kinds.TEXT, ""),
    ("notification-email-delay", kinds.TEXT, ""),
    ("notification-email-server", kinds.TEXT, ""),
    ("notification-email-server-port", kinds.TEXT, ""),
    ("notification-email-server-tls-skip-verify", kinds.BOOL, ""),
    ("notification-email-server-user", kinds.TEXT, ""),
    ("notification-email-server-password", kinds.TEXT, ""),
    ("notification-email-subjecttag", kinds.TEXT, ""),
    ("notification-slack-hook-url", kinds.TEXT, ""),
    ("notification-slack-identifier", kinds.TEXT, ""),
    ("notification-slack-channel", kinds.TEXT, ""),
    ("notification-slack-icon-emoji", kinds.TEXT, ""),
    ("notification-slack-icon-url", kinds.TEXT, ""),
    ("notification-msteams-hook", kinds.TEXT, ""),
    ("notification-msteams-data", kinds.BOOL, ""),
    ("notification-gotify-url", kinds.TEXT, ""),
    ("notification-gotify-token", kinds.TEXT, ""),
    ("notification-gotify-tls-skip-verify", kinds.BOOL, ""),
)


_MORE_NAMES = {
    "notification-msteams-hook": ("WATCHTOWER_NOTIFICATION_MSTEAMS_HOOK_URL",),
    "notification-msteams-data": ("WATCHTOWER_NOTIFICATION_MSTEAMS_USE_LOG_DATA",),
}
"""Variables that are not named after their flag."""


def _envs(flag: str) -> tuple[str, ...]:
    return (f"WATCHTOWER_{flag.replace('-', '_').upper()}", *_MORE_NAMES.get(flag, ()))


Refused = tuple[str, tuple[str, ...], Kind, str, str, str]
"""Flag, variables, kind, meaning at Watchtower's, short flag, and the reason."""

REFUSED_SETTINGS: tuple[Refused, ...] = (
    ("no-restart", _envs("no-restart"), kinds.BOOL, "Stop and remove, but do not start again.", "", NO_RESTART),
    ("remove-volumes", _envs("remove-volumes"), kinds.BOOL, "Remove anonymous volumes.", "", REMOVE_VOLUMES),
    ("porcelain", _envs("porcelain"), kinds.TEXT, "Print a report for scripts.", "P", PORCELAIN),
    *(
        (flag, _envs(flag), kind, "Notifications.", short, NO_NOTIFICATIONS)
        for flag, kind, short in _NOTIFICATION_FLAGS
    ),
)
