"""The manager's settings."""

import dataclasses
from pathlib import Path

import pytest

from tidegate.manager.people.roles import Role
from tidegate.manager.settings import ManagerSettings, ManagerSettingsError, load_manager_settings
from tidegate.manager.settings_table import SETTINGS

NEEDLE = "h4rd-to-guess"
OIDC = {
    "TIDEGATE_PUBLIC_URL": "https://tidegate.example.com",
    "TIDEGATE_OIDC_ISSUER": "https://id.example.com/",
    "TIDEGATE_OIDC_CLIENT_ID": "tidegate",
    "TIDEGATE_OIDC_CLIENT_SECRET": "x",
    "TIDEGATE_OIDC_ROLES": "ops=admin, /a=b = viewer",
}


def refused(**environ: str) -> list[str]:
    with pytest.raises(ManagerSettingsError) as error:
        load_manager_settings(environ)
    return str(error.value).splitlines()


def test_nothing_has_to_be_set() -> None:
    got = load_manager_settings({})
    assert got.database_url == "sqlite:////var/lib/tidegate-manager/tidegate.db"
    assert got.signing_key_file == Path("/var/lib/tidegate-manager/signing.key")
    assert (got.listen, got.trusted_proxies, got.metrics_public) == (("127.0.0.1", 8080), (), False)


def test_every_setting_has_a_field_and_the_other_way_round() -> None:
    fields = {one.name for one in dataclasses.fields(ManagerSettings)} - {"warnings"}
    assert {one.field for one in SETTINGS} == fields


def test_every_fault_is_told_at_once() -> None:
    sentences = refused(TIDEGATE_LISTEN="x", TIDEGATE_RATE="0/s", TIDEGATE_TRUSTED_PROXIES="10.0.0.1/8", REPO_USER="u")
    assert sentences == [
        "TIDEGATE_LISTEN is 'x'; it takes an address such as :8080 or 127.0.0.1:8080.",
        "TIDEGATE_TRUSTED_PROXIES is '10.0.0.1/8'; it takes a comma list of addresses or networks, such as 10.0.0.0/8.",
        "TIDEGATE_RATE is '0/s'; it takes a number a second or a minute, such as 50/s or 300/m.",
        "REPO_USER and REPO_PASS belong together: set both or none.",
    ]


@pytest.mark.parametrize("setting", [one for one in SETTINGS if one.secret], ids=lambda one: one.env)
def test_no_fault_and_no_repr_shows_a_secret(setting: object, tmp_path: Path) -> None:
    env = setting.env  # type: ignore[attr-defined]
    values = {
        "TIDEGATE_DATABASE_URL": f"postgresql://u:{NEEDLE}@h/db",
        "TIDEGATE_ALERT_WEBHOOKS": f"https://chat.example.com/{NEEDLE}",
        "TIDEGATE_SMTP": f"smtp://u:{NEEDLE}@mail.example.com",
    }
    together = {"REPO_USER": "REPO_PASS", "REPO_PASS": "REPO_USER"}
    more = {together[env]: "x"} if env in together else {}
    if env == "TIDEGATE_SMTP":
        more = {"TIDEGATE_MAIL_FROM": "a@b.c", "TIDEGATE_MAIL_TO": "a@b.c"}
    if env in OIDC:
        more = {name: value for name, value in OIDC.items() if name != env}
    got = load_manager_settings({"TIDEGATE_DATA": str(tmp_path), env: values.get(env, NEEDLE), **more})
    assert NEEDLE in str(getattr(got, setting.field))  # type: ignore[attr-defined]
    assert NEEDLE not in repr(got)
    if env in values:
        assert NEEDLE not in "".join(refused(**{env: f"no-address:{NEEDLE}"}))


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{NEEDLE}\n")
    got = load_manager_settings({"TIDEGATE_WEBHOOK_GITHUB": str(tmp_path / "secret")})
    assert got.webhook_github == NEEDLE


def test_a_certificate_and_its_key_belong_together(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("no certificate")
    one = refused(TIDEGATE_TLS_CERT=str(tmp_path / "cert"))
    assert one == ["TIDEGATE_TLS_CERT and TIDEGATE_TLS_KEY belong together: set both or none."]
    both = refused(TIDEGATE_TLS_CERT=str(tmp_path / "cert"), TIDEGATE_TLS_KEY=str(tmp_path / "cert"))
    assert "cannot be used" in both[0]
    assert "its own private key" in both[0]


def test_a_misspelt_variable_is_a_warning_and_other_programs_are_left_alone() -> None:
    got = load_manager_settings({"TIDEGATE_LISTNE": "x", "TIDEGATE_TOKEN": "x", "TIDEGATE_WINDOW": "x", "PATH": "x"})
    assert got.warnings == ("TIDEGATE_LISTNE is not known and has no effect. Did you mean TIDEGATE_LISTEN?",)


@pytest.mark.parametrize(
    ("text", "size"), [("512KiB", 512 * 1024), ("2 MiB", 2 * 1024**2), ("100", 100), ("1GiB", 1024**3)]
)
def test_sizes(text: str, size: int) -> None:
    assert load_manager_settings({"TIDEGATE_MAX_REQUEST": text}).max_request_bytes == size


@pytest.mark.parametrize(("text", "rate"), [("50/s", 50), ("300/m", 5), ("7", 7)])
def test_rates(text: str, rate: float) -> None:
    assert load_manager_settings({"TIDEGATE_RATE": text}).rate == rate


def test_an_agent_that_is_well_is_not_taken_for_one_that_is_gone() -> None:
    with pytest.raises(ManagerSettingsError, match=r"OFFLINE_AFTER is 30 s; it takes 90 s or more"):
        load_manager_settings({"TIDEGATE_OFFLINE_AFTER": "30s"})
    assert load_manager_settings({"TIDEGATE_OFFLINE_AFTER": "90s"}).offline_s == 90


def test_an_openid_provider_is_taken_letter_by_letter_and_roles_in_their_order() -> None:
    got = load_manager_settings(OIDC)
    assert (got.oidc_issuer, got.oidc_user_claim, got.oidc_role_claim) == ("https://id.example.com/", "email", "groups")
    assert got.oidc_roles == (("ops", Role.ADMIN), ("/a=b", Role.VIEWER))


@pytest.mark.parametrize("name", [name for name in OIDC if name.startswith("TIDEGATE_OIDC")])
def test_what_signing_in_by_openid_connect_needs_belongs_together(name: str) -> None:
    (one,) = refused(**{key: value for key, value in OIDC.items() if key != name})
    assert one == (
        "TIDEGATE_OIDC_ISSUER, TIDEGATE_OIDC_CLIENT_ID, TIDEGATE_OIDC_CLIENT_SECRET and TIDEGATE_OIDC_ROLES belong "
        f"together: set all or none; {name} is missing."
    )


def test_without_a_public_address_no_provider_can_lead_anybody_back() -> None:
    (one,) = refused(**{key: value for key, value in OIDC.items() if key != "TIDEGATE_PUBLIC_URL"})
    assert one.startswith("TIDEGATE_OIDC_ISSUER needs TIDEGATE_PUBLIC_URL beside it")
    assert "/sign-in/oidc/callback" in one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISSUER", "http://id.example.com"),
        ("ISSUER", "https://id.example.com/?a=b"),
        ("ISSUER", "id.example.com"),
        ("ISSUER", "https://id.example.com/a b"),
        ("SCOPES", "profile email"),
        ("ROLES", "ops=root"),
        ("ROLES", "ops"),
        ("ROLES", "=admin"),
    ],
)
def test_what_an_openid_provider_cannot_be_is_told_once(name: str, value: str) -> None:
    (one,) = refused(**OIDC | {f"TIDEGATE_OIDC_{name}": value})
    assert one.startswith(f"TIDEGATE_OIDC_{name} is {value!r}; it takes ")
