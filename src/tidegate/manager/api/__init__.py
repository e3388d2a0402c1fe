"""The HTTP API: what is between a request and what is done about it."""
