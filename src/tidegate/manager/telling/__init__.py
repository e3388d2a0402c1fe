"""Telling people: the feed of events, alerts and metrics."""
