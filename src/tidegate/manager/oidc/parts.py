"""The provider that the settings name: `parts.one(provider)`."""

from tidegate.manager.oidc.person import Rules
from tidegate.manager.oidc.provider import Client, Provider
from tidegate.manager.parts import Parts
from tidegate.manager.settings import CALLBACK
from tidegate.manager.telling.sinks.sink import trusting


def provider(parts: Parts) -> Provider | None:
    """None: people sign in by token alone."""
    it = parts.settings
    if not (it.oidc_issuer and it.oidc_client_id and it.oidc_client_secret):
        return None
    client = Client(
        it.oidc_issuer, it.oidc_client_id, it.oidc_client_secret, it.oidc_scopes, f"{it.public_url}{CALLBACK}"
    )
    rules = Rules(it.oidc_user_claim, it.oidc_role_claim, it.oidc_roles)
    return Provider(client, rules, trusting(it.oidc_ca), parts.clock)
