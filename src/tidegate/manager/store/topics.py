"""What is told on the bus: who publishes and who listens know each other by these names alone.

Where a topic has keys, a message without any means: there may be something for anybody.
"""

AGENTS = "agents"
"""There is something for agents. Keys: their ids."""
REVOKED = "agents.revoked"
"""Agents were cut off. Keys: their ids."""
ROLLOUTS = "rollouts"
"""Rollouts have to be decided. Keys: their ids."""
RELEASES = "releases"
"""Channels have something to choose from, or releases something to be read. Keys: the channels' ids."""
POLLS = "polls"
"""There are channels whose registries are to be asked now."""
FEED = "feed"
"""The feed has more to tell."""
DELIVERIES = "deliveries"
"""There is an alert to be sent."""
TOKENS = "tokens.revoked"
"""Tokens were revoked. Keys: their numbers."""

TOPICS = TOKENS, AGENTS, REVOKED, ROLLOUTS, RELEASES, POLLS, FEED, DELIVERIES
