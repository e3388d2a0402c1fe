from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tidegate.agent.schedule import Cron, Every
from tidegate.agent.settings import Settings, SettingsError, load_settings
from tidegate.agent.settings_table import REFUSED
from tidegate.domain.policy import Cut
from tidegate.domain.transaction import Strategy


def load(*argv: str, **environ: str) -> Settings:
    return load_settings(argv, environ)


def refusal(*argv: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*argv, **environ)
    return str(caught.value)


def test_nothing_given_is_watchtowers_default() -> None:
    found = load()
    assert (found.interval_s, found.schedule, found.scope, found.names) == (86400.0, Every(86400.0), None, ())
    assert (found.cut, found.strategy, found.settle_s, found.bake_s) == (Cut.GRACEFUL, None, 10.0, 30.0)
    assert found.private_subnets == (IPv4Network("10.213.0.0/16"),)
    assert found.state == Path("/var/lib/tidegate")
    assert found.disable_containers == ()
    assert found.polls


def test_the_original_plans_service_works_as_it_stands() -> None:
    found = load(
        "--label-enable",
        "--scope",
        "autonomy-cluster",
        WATCHTOWER_LABEL_ENABLE="true",
        WATCHTOWER_INTERVAL="300",
        WATCHTOWER_CLEANUP="true",
        WATCHTOWER_ROLLING_RESTART="true",
        WATCHTOWER_INCLUDE_STOPPED="false",
        WATCHTOWER_INCLUDE_RESTARTING="false",
    )
    assert (found.label_enable, found.scope, found.interval_s, found.cleanup) == (
        True,
        "autonomy-cluster",
        300.0,
        True,
    )
    assert (found.include_stopped, found.include_restarting, found.rolling_restart) == (False, False, True)
    assert found.warnings == ()


def test_a_flag_beats_the_environment() -> None:
    assert load("--scope=flag", WATCHTOWER_SCOPE="variable").scope == "flag"
    assert load("--cleanup=false", WATCHTOWER_CLEANUP="true").cleanup is False
    assert load("-i", "30", WATCHTOWER_POLL_INTERVAL="60").interval_s == 30.0


def test_short_flags_combine_and_take_values_as_pflag_does() -> None:
    assert (load("-cR").cleanup, load("-cR").run_once) == (True, True)
    for form in (["-i", "30"], ["-i30"], ["-i=30"], ["-ci30"]):
        assert load(*form).interval_s == 30.0
    assert load("-c=false").cleanup is False


def test_a_bool_flag_does_not_swallow_the_name_after_it() -> None:
    found = load("--cleanup", "web", "--run-once", "db")
    assert (found.cleanup, found.run_once, found.names) == (True, True, ("web", "db"))


def test_everything_after_two_dashes_is_a_name() -> None:
    assert load("--", "--odd", "-c").names == ("--odd", "-c")


def test_the_last_of_two_equal_flags_counts() -> None:
    assert load("--scope", "a", "--scope", "b").scope == "b"


def test_a_list_that_is_given_in_several_flags_adds_up_and_takes_the_place_of_the_variable() -> None:
    found = load("-x", "db", "-x", "", "--disable-containers=cache,queue", WATCHTOWER_DISABLE_CONTAINERS="web")
    assert found.disable_containers == ("db", "cache", "queue")
    windows = load("--window", "0 2 * * * 1h", "--window", "0 4 * * * 1h").windows
    assert windows == ("0 2 * * * 1h", "0 4 * * * 1h")


def test_a_version_of_the_engines_api_may_be_written_with_its_v() -> None:
    assert load(DOCKER_API_VERSION="v1.43").docker_api_version == "1.43"


@pytest.mark.parametrize(("word", "level"), [("warning", "warn"), ("WARNING", "warn"), ("Error", "error")])
def test_log_levels_are_read_as_watchtower_reads_them(word: str, level: str) -> None:
    assert load(WATCHTOWER_LOG_LEVEL=word).log_level == level


def test_insecure_registries_are_hosts_whatever_scheme_stands_before_them() -> None:
    found = load(TIDEGATE_INSECURE_REGISTRIES="http://reg:5000/, 10.0.0.1:5000,plain,[::1]:5000")
    assert found.insecure_registries == ("reg:5000", "10.0.0.1:5000", "plain", "[::1]:5000")


def test_an_empty_value_counts_as_not_set() -> None:
    assert load("--scope", "", WATCHTOWER_SCHEDULE="").scope is None


def test_own_variables_are_read() -> None:
    found = load(
        TIDEGATE_STRATEGY="stop-first",
        TIDEGATE_CUT="fast",
        TIDEGATE_DRAIN="3s",
        TIDEGATE_WINDOW="0 4 * * * 2h",
        TIDEGATE_KEEP_IMAGES="3",
        TIDEGATE_PRIVATE_SUBNETS="10.9.0.0/24,10.10.0.0/27",
        TIDEGATE_ALLOW_REPOSITORIES="ghcr.io/acme/web, docker.io/library/redis",
        TIDEGATE_INTERVAL="1s",
    )
    defaults = found.policy_defaults
    assert (defaults.strategy, defaults.cut, defaults.drain_s) == (Strategy.STOP_FIRST, Cut.FAST, 3.0)
    assert (defaults.windows, defaults.keep_images) == (("0 4 * * * 2h",), 3)
    assert found.private_subnets == (IPv4Network("10.9.0.0/24"), IPv4Network("10.10.0.0/27"))
    assert found.allow_repositories == ("ghcr.io/acme/web", "docker.io/library/redis")
    assert found.interval_s == 1.0


def test_names_and_switches_become_the_filters_of_selection() -> None:
    found = load("web", "--disable-containers", "a,b c", "--label-enable", "--scope", "x").filters(self_id="me")
    assert (found.names, found.disabled) == (("web",), ("a", "b", "c"))
    assert (found.label_enable, found.scope, found.self_id) == (True, "x", "me")


def test_cleanup_keeps_one_earlier_image_unless_told_otherwise() -> None:
    assert load().keep_images is None
    assert load("--cleanup").keep_images == 1
    assert load("--cleanup", TIDEGATE_KEEP_IMAGES="0").keep_images == 0


def test_debug_and_trace_set_the_log_level() -> None:
    assert load("--debug").log_level == "debug"
    assert load("--trace", "--debug").log_level == "trace"


@pytest.mark.parametrize(("value", "counts"), [("yes", True), ("1", True), ("false", False), ("0", False), ("", False)])
def test_no_color_counts_whatever_its_value_unless_that_means_no(value: str, counts: bool) -> None:
    assert load(NO_COLOR=value).no_color is counts


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("WATCHTOWER_CLEANUP", "yes", "true or false"),
        ("WATCHTOWER_POLL_INTERVAL", "0", "longer than nothing"),
        ("WATCHTOWER_POLL_INTERVAL", "often", "a duration"),
        ("WATCHTOWER_TIMEOUT", "-10s", "a duration"),
        ("WATCHTOWER_LOG_FORMAT", "xml", "auto, logfmt, pretty or json"),
        ("WATCHTOWER_WARN_ON_HEAD_FAILURE", "sometimes", "auto, always or never"),
        ("WATCHTOWER_COMPAT", "nf", "only upstream"),
        ("DOCKER_HOST", "ssh://host", "unix:///var/run/docker.sock"),
        ("DOCKER_HOST", "tcp://host:abc", "tcp://host:2376"),
        ("DOCKER_HOST", "tcp://host:99999", "tcp://host:2376"),
        ("TIDEGATE_INSECURE_REGISTRIES", "https://reg:5000", "HOST:PORT"),
        ("TIDEGATE_INSECURE_REGISTRIES", "10.0.0.0/8", "HOST:PORT"),
        ("TIDEGATE_FREEZE", "2026-01-01/9999-12-31", "FROM/TO"),
        ("DOCKER_API_VERSION", "latest", "1.41"),
        ("TZ", "Mars/Olympus", "Europe/Rome"),
        ("TIDEGATE_STRATEGY", "blue-green", "stop-first"),
        ("TIDEGATE_PRIVATE_SUBNETS", "10.0.0.0/28", "/27 or larger"),
        ("TIDEGATE_PRIVATE_SUBNETS", "10.0.0.1/16", "/27 or larger"),
        ("TIDEGATE_REGISTRY_CA", "/nowhere/ca.pem", "a file of PEM certificates"),
        ("TIDEGATE_REGISTRY_CA", __file__, "a file of PEM certificates"),
        ("TIDEGATE_HTTP_LISTEN", ":99999", ":8080"),
        ("TIDEGATE_KEEP_IMAGES", "-1", "a whole number"),
        ("TIDEGATE_ALLOW_REPOSITORIES", "acme/web:1", "without tags"),
        ("TIDEGATE_ALLOW_REPOSITORIES", "Acme web", "without tags"),
        ("TIDEGATE_WINDOW", "at night", "CRON DURATION"),
        ("TIDEGATE_FREEZE", "next week", "FROM/TO"),
    ],
)
def test_a_bad_value_is_refused_with_its_variable_and_what_it_takes(name: str, value: str, takes: str) -> None:
    said = refusal(**{name: value})
    assert f"{name} is {value!r}; it takes" in said
    assert takes in said


def test_a_window_or_a_freeze_that_cannot_be_read_says_what_is_wrong_with_it() -> None:
    zone = "names the time zone 'Mars/Phobos', which is not known: use a name such as Europe/Berlin or UTC."
    assert zone in refusal(TIDEGATE_WINDOW="0 2 * * * 4h Mars/Phobos")
    assert "put the earlier date first" in refusal("--freeze", "2026-12-24/2026-12-20")


def test_every_fault_is_told_at_once() -> None:
    said = refusal("--no-such", WATCHTOWER_CLEANUP="yes", TIDEGATE_BAKE="long")
    assert len(said.splitlines()) == 3


def test_an_unknown_flag_is_refused_with_the_one_that_was_meant() -> None:
    assert "Did you mean --label-enable?" in refusal("--lable-enable")
    assert "-q is not a known flag" in refusal("-q")


def test_a_flag_without_its_value_is_refused() -> None:
    assert "--scope needs a value" in refusal("--scope")


def test_an_unknown_variable_is_a_warning_with_the_one_that_was_meant() -> None:
    (warning,) = load(WATCHTOWER_CLEANPU="true", PATH="/bin").warnings
    assert warning == "WATCHTOWER_CLEANPU is not known and has no effect. Did you mean WATCHTOWER_CLEANUP?"


def test_two_names_for_the_interval_must_agree() -> None:
    assert load(WATCHTOWER_INTERVAL="300", WATCHTOWER_POLL_INTERVAL="300s").interval_s == 300.0
    said = refusal(WATCHTOWER_INTERVAL="300", WATCHTOWER_POLL_INTERVAL="60")
    assert "WATCHTOWER_INTERVAL and WATCHTOWER_POLL_INTERVAL" in said


def test_an_interval_and_a_schedule_together_are_refused() -> None:
    assert "An interval and a schedule" in refusal("--schedule", "@daily", WATCHTOWER_INTERVAL="300")


def test_an_empty_schedule_says_nothing_beside_an_interval() -> None:
    assert load("--schedule", "", WATCHTOWER_INTERVAL="300").schedule == Every(300.0)


REFUSED_BY_NAME = {
    name: setting
    for setting in REFUSED
    for name in (*setting.envs, f"--{setting.flag}", *([f"-{setting.short}"] if setting.short else []))
}


@pytest.mark.parametrize("name", REFUSED_BY_NAME)
def test_what_cannot_be_had_is_refused_by_name_with_what_to_do_and_its_value_is_not_shown(name: str) -> None:
    value = "true" if REFUSED_BY_NAME[name].is_bool else "slack://hidden"
    said = refusal(f"{name}={value}") if name.startswith("-") else refusal(**{name: value})
    assert said.startswith(f"{name} is refused: ")
    assert "unset it" in said
    assert "hidden" not in said


def test_a_refused_switch_that_is_off_is_no_fault() -> None:
    assert load(WATCHTOWER_NO_RESTART="false", WATCHTOWER_NOTIFICATION_REPORT="false").warnings == ()
    assert "WATCHTOWER_NO_RESTART is refused" in refusal(WATCHTOWER_NO_RESTART="true")


@pytest.mark.parametrize("switch", ["WATCHTOWER_HTTP_API_UPDATE", "WATCHTOWER_HTTP_API_METRICS"])
def test_the_http_api_does_not_start_without_a_token(switch: str) -> None:
    assert "WATCHTOWER_HTTP_API_TOKEN" in refusal(**{switch: "true"})


def test_the_update_api_takes_the_place_of_polling_unless_told_otherwise() -> None:
    assert not load("--http-api-update", "--http-api-token=t").polls
    assert load("--http-api-update", "--http-api-token=t", "--http-api-periodic-polls").polls
    assert load("--http-api-metrics", "--http-api-token=t").polls


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    found = load("--http-api-metrics", WATCHTOWER_HTTP_API_TOKEN=str(tmp_path / "token"))
    assert found.http_api_token == "s3cret"
    assert "s3cret" not in repr(found)


def test_a_mounted_secret_that_is_missing_is_refused_without_being_shown(tmp_path: Path) -> None:
    said = refusal(WATCHTOWER_HTTP_API_TOKEN="/run/secrets/absent")
    assert "WATCHTOWER_HTTP_API_TOKEN has a value that cannot be used" in said
    (tmp_path / "empty").write_text("\n")
    assert "REPO_PASS" in refusal(REPO_USER="u", REPO_PASS=str(tmp_path / "empty"))


def test_a_password_longer_than_a_path_is_a_password() -> None:
    password = "eyJwYXlsb2FkIjoi" * 100
    assert load(REPO_USER="u", REPO_PASS=password).repo_pass == password


def test_a_password_that_cannot_be_used_is_the_only_fault() -> None:
    assert "belong together" not in refusal(REPO_USER="u", REPO_PASS="/run/secrets/absent")


def test_user_and_password_belong_together() -> None:
    assert "REPO_USER and REPO_PASS" in refusal(REPO_USER="u")


def test_a_name_that_is_no_regular_expression_is_refused() -> None:
    assert "'web['" in refusal("web[")
    assert "'a{99999999999999}'" in refusal("a{99999999999999}")


@pytest.mark.parametrize("flag", ["--repo-pass", "-p"])
def test_what_stands_behind_a_flag_that_is_not_known_is_not_shown(flag: str) -> None:
    said = refusal(flag, "se[cret")
    assert f"{flag} is not a known flag" in said
    assert "cret" not in said


AT = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("0 30 4 * * *", datetime(2026, 3, 2, 4, 30, tzinfo=UTC)),
        ("*/20 * * * * *", datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)),
        ("0 0 6 ? * MON-FRI", datetime(2026, 3, 2, 6, 0, tzinfo=UTC)),
        ("@daily", datetime(2026, 3, 2, tzinfo=UTC)),
        ("@hourly", datetime(2026, 3, 1, 13, tzinfo=UTC)),
        ("@every 1h30m", datetime(2026, 3, 1, 13, 30, 0, 500_000, tzinfo=UTC)),
        ("@every 10", datetime(2026, 3, 1, 12, 0, 10, 500_000, tzinfo=UTC)),
        ("TZ=Asia/Tokyo 0 0 0 * * *", datetime(2026, 3, 1, 15, tzinfo=UTC)),
    ],
)
def test_schedules_are_read_as_watchtower_reads_them(text: str, due: datetime) -> None:
    assert load("--schedule", text).schedule.next_after(AT) == due


def test_the_schedule_is_in_the_time_zone_of_tz() -> None:
    found = load("-s", "0 0 4 * * *", TZ="America/New_York").schedule
    assert found == Cron("0 0 4 * * *", "America/New_York")
    assert found.next_after(AT) == datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["0 4 * * *", "never", "0 0 0 31 2 *", "61 * * * * *", "@every 0s", "TZ=X 0 0 0 * * *"]
)
def test_a_schedule_that_cannot_be_followed_is_refused(text: str) -> None:
    said = refusal("--schedule", text)
    assert "WATCHTOWER_SCHEDULE" in said
    assert "six cron fields" in said
