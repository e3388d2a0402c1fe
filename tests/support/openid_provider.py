"""A real OpenID provider, Django OAuth Toolkit, for the tests of signing in by one; run as a program of its own.

It knows one client and the people of `PEOPLE`, and asks these for the password. It takes no code without PKCE.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET, PASSWORD = "tidegate", "s3cret of the client", "correct horse"
PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "anna": {"email": "anna@example.com", "email_verified": True, "groups": ["staff", "tidegate-ops"]},
    "bob": {"email": "bob@example.com", "email_verified": False, "groups": ["tidegate-ops"]},
    "cora": {"email": "cora@example.com", "email_verified": True, "groups": ["staff"]},
}
_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def provider(folder: Path, redirect_uri: str) -> Iterator[str]:
    """Run it until the block ends; its issuer."""
    asked = json.dumps({"folder": str(folder), "redirect_uri": redirect_uri})
    path = os.pathsep.join([*(str(_ROOT / one) for one in (".", "src", "scripts")), os.environ.get("PYTHONPATH", "")])
    log = folder / "provider.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.openid_provider", asked],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            issuer = process.stdout.readline().strip()
            assert issuer, log.read_text()
            yield issuer
        finally:
            process.terminate()


class _Server(ThreadingMixIn, WSGIServer):
    """Browsers open connections ahead, and let them wait."""

    daemon_threads = True


def _key() -> str:
    made = rsa.generate_private_key(65537, 2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return made.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode()


def _main(asked: Mapping[str, str]) -> None:
    server = make_server("127.0.0.1", 0, lambda *_: [], _Server)
    issuer = f"http://localhost:{server.server_port}/o"  # for browsers another site than 127.0.0.1
    server.set_app(_application(Path(asked["folder"]), issuer, asked["redirect_uri"]))
    sys.stdout.write(f"{issuer}\n")
    sys.stdout.flush()
    server.serve_forever()


def _application(folder: Path, issuer: str, redirect_uri: str) -> Any:
    import django  # type: ignore[import-untyped]  # noqa: PLC0415
    from django.conf import settings  # type: ignore[import-untyped]  # noqa: PLC0415

    apps = ("django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider")
    settings.configure(
        SECRET_KEY="of tests",
        DEBUG=True,
        ALLOWED_HOSTS=["localhost"],
        ROOT_URLCONF="tests.support.openid_provider_urls",
        INSTALLED_APPS=apps,
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "provider.db"}},
        MIGRATION_MODULES={app.rpartition(".")[2]: None for app in apps},  # tables as they are now, at once
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        SESSION_COOKIE_NAME="provider",
        LOGIN_URL="/login/",
        USE_TZ=True,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": issuer,
            "OIDC_RSA_PRIVATE_KEY": _key(),
            "OAUTH2_VALIDATOR_CLASS": "tests.support.openid_provider_urls.Claims",
            "SCOPES": {"openid": "sign in", "profile": "name", "email": "address"},
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
        },
    )
    django.setup()
    from django.contrib.auth.models import User  # type: ignore[import-untyped]  # noqa: PLC0415
    from django.core.management import call_command  # type: ignore[import-untyped]  # noqa: PLC0415
    from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # noqa: PLC0415
    from oauth2_provider.models import Application  # type: ignore[import-untyped]  # noqa: PLC0415

    call_command("migrate", run_syncdb=True, verbosity=0)
    for name in PEOPLE:
        User.objects.create_user(name, password=PASSWORD)
    Application.objects.create(
        name="Tidegate",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=redirect_uri,
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
    )
    return get_wsgi_application()


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
