"""What people are told of two images."""

from typing import Any

from tidegate.domain.recreate_diff import Change, image_diff


def image(created: str = "t", size: int = 1, **config: Any) -> dict[str, Any]:
    return {"Id": "sha256:1", "Created": created, "Size": size, "Config": config}


def test_the_same_image_has_no_changes() -> None:
    assert image_diff(image(Env=["A=1"], Cmd=["x"]), image(Env=["A=1"], Cmd=["x"])) == []


def test_a_variable_that_comes_changes_or_goes_is_a_change() -> None:
    assert image_diff(image(Env=["A=1", "B=2"]), image(Env=["A=2", "C=3"])) == [
        Change("env A", "1", "2"),
        Change("env B", "2", ""),
        Change("env C", "", "3"),
    ]


def test_values_of_secret_looking_variables_are_masked() -> None:
    assert image_diff(image(Env=["API_TOKEN=one"]), image(Env=["API_TOKEN=two"])) == [
        Change("env API_TOKEN", "***", "***")
    ]


def test_a_password_inside_an_address_is_masked() -> None:
    (change,) = image_diff(image(), image(Env=["BROKER=amqp://me:pw@queue:5672"]))
    assert change.new == "amqp://***@queue:5672"


def test_the_revision_is_told_by_its_name() -> None:
    labels = {"org.opencontainers.image.revision": "abc", "team": "x"}
    assert image_diff(image(), image(Labels=labels)) == [
        Change("revision", "", "abc"),
        Change("label team", "", "x"),
    ]


def test_commands_ports_and_volumes_read_as_people_write_them() -> None:
    new = image(Entrypoint=["sh", "-c", "a b"], ExposedPorts={"81/tcp": {}, "80/tcp": {}}, Volumes={"/d": {}})
    assert image_diff(image(), new) == [
        Change("entrypoint", "", "sh -c 'a b'"),
        Change("ports", "", "80/tcp 81/tcp"),
        Change("volumes", "", "/d"),
    ]


def test_a_health_checks_times_are_in_seconds() -> None:
    check = {"Test": ["CMD", "true"], "Interval": 2_500_000_000, "Retries": 3}
    (change,) = image_diff(image(), image(Healthcheck=check))
    assert change.new == "CMD true, interval 2.5s, retries 3"
