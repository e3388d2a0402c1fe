"""What tells people, made of the manager's parts: `parts.one(...)` gives each to routes and to background work."""

from datetime import timedelta

from tidegate.manager.parts import Parts
from tidegate.manager.settings import ManagerSettings
from tidegate.manager.telling.alert import Thresholds
from tidegate.manager.telling.alerts import Alerter
from tidegate.manager.telling.delivery import Deliverer
from tidegate.manager.telling.metrics import Metrics
from tidegate.manager.telling.pruning import FeedPruner
from tidegate.manager.telling.sinks.apprise import AppriseSink
from tidegate.manager.telling.sinks.mail import Mail, mail_server
from tidegate.manager.telling.sinks.sink import Sink, trusting
from tidegate.manager.telling.sinks.webhook import Webhook
from tidegate.manager.telling.streams import Hub


def hub(parts: Parts) -> Hub:
    """Hands the feed to all who follow it."""
    return Hub(parts.db, parts.clock, parts.stopping)


def feed_pruner(parts: Parts) -> FeedPruner:
    """Forgets the feed's oldest entries."""
    settings = parts.settings
    return FeedPruner(parts.db, parts.clock, keep=timedelta(seconds=settings.feed_keep_s), most=settings.feed_most)


def sinks(parts: Parts) -> list[Sink]:
    """Everybody who is told of alerts. Raises `AppriseError`."""
    settings = parts.settings
    tls, manager = trusting(settings.alert_ca), settings.public_url
    found: list[Sink] = [
        Webhook(url, secret=settings.alert_webhook_secret, tls=tls, clock=parts.clock, manager=manager)
        for url in dict.fromkeys(settings.alert_webhooks)
    ]
    if settings.smtp_url and settings.mail_from:
        server = mail_server(settings.smtp_url)
        to = dict.fromkeys(settings.mail_to)
        found += [Mail(server, settings.mail_from, one, tls=tls, manager=manager) for one in to]
    return found + [AppriseSink(url) for url in dict.fromkeys(settings.apprise)]


def deliverer(parts: Parts) -> Deliverer:
    """Sends what is to be told. Raises `AppriseError`."""
    return Deliverer(parts.db, parts.clock, sinks(parts))


def alerter(parts: Parts) -> Alerter:
    """Opens and closes alerts."""
    return Alerter(parts.db, parts.clock, parts.one(deliverer).names, thresholds(parts.settings))


def thresholds(settings: ManagerSettings) -> Thresholds:
    """From when on something is worth an alert."""
    return Thresholds(
        offline=timedelta(seconds=settings.alert_offline_s),
        drift=timedelta(seconds=settings.alert_drift_s),
        approval=timedelta(seconds=settings.alert_approval_s),
        channel_failures=settings.alert_channel_failures,
        calm=timedelta(seconds=settings.alert_calm_s),
    )


def metrics(parts: Parts) -> Metrics:
    """Counts, and tells how things are."""
    return Metrics(parts.db, parts.clock, parts.one(hub), parts.one(deliverer))
