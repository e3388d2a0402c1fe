"""What tells people, made of the manager's parts: `parts.one(...)` gives each to routes and to background work."""

from datetime import timedelta

from tidegate.manager.parts import Parts
from tidegate.manager.telling.pruning import FeedPruner
from tidegate.manager.telling.streams import Hub


def hub(parts: Parts) -> Hub:
    """Hands the feed to all who follow it."""
    return Hub(parts.db, parts.clock, parts.stopping)


def feed_pruner(parts: Parts) -> FeedPruner:
    """Forgets the feed's oldest entries."""
    settings = parts.settings
    return FeedPruner(parts.db, parts.clock, keep=timedelta(seconds=settings.feed_keep_s), most=settings.feed_most)
