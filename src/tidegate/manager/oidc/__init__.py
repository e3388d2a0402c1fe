"""Signing in by OpenID Connect: the provider is asked, what it says is checked, and a role is made of it."""
