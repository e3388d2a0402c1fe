"""What the provider of tests answers, and what it says of people; only its own program imports this."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import login  # type: ignore[import-untyped]
from django.contrib.auth.forms import AuthenticationForm  # type: ignore[import-untyped]
from django.http import HttpResponse, HttpResponseRedirect  # type: ignore[import-untyped]
from django.urls import include, path  # type: ignore[import-untyped]
from oauth2_provider.oauth2_validators import OAuth2Validator  # type: ignore[import-untyped]
from tests.support.openid_provider import PEOPLE


class Claims(OAuth2Validator):  # type: ignore[misc]
    """Groups are in every ID token, an address for the scope `email`, the team in no ID token."""

    oidc_claim_scope: ClassVar[dict[str, str]] = {**OAuth2Validator.oidc_claim_scope, "groups": "openid"}

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        return {"preferred_username": request.user.username, **PEOPLE[request.user.username]}

    def get_userinfo_claims(self, request: Any) -> dict[str, Any]:
        return {**super().get_userinfo_claims(request), "team": "platform"}


def ask(request: Any) -> Any:
    """Who is it?"""
    form = AuthenticationForm(request, request.POST or None)
    if not form.is_valid():
        return HttpResponse(f"<title>Provider</title><form method=post>{form}<button>Log in</button></form>")
    login(request, form.get_user())
    return HttpResponseRedirect(request.GET["next"])


urlpatterns = [path("login/", ask), path("o/", include("oauth2_provider.urls"))]
