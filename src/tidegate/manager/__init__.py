"""The manager: decides which release goes where and when, and tells people how that went."""
