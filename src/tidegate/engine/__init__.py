"""The Docker Engine behind a Protocol; the only package that speaks its HTTP API."""
