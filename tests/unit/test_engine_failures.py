"""What the engine's refusals become. The messages are those of engines 20.10 and 26.1."""

import pytest

from tidegate.engine.errors import (
    AddressTakenError,
    ConflictError,
    EngineError,
    ImageMissingError,
    NameTakenError,
    NoSpaceError,
    NotFoundError,
    NotRunnableError,
    PlatformMissingError,
    PortTakenError,
    PullBrokenError,
    PullDeniedError,
    PullError,
    PullLimitedError,
    SubnetTakenError,
)
from tidegate.engine.failures import failure, pull_failure

RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process"
OLD_RUNC = "OCI runtime create failed: container_linux.go:367: starting container process caused"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "No such container: web", NotFoundError),
        (500, "Container ab is marked for removal and cannot be connected or disconnected", NotFoundError),
        (409, "container is marked for removal and cannot be started", NotFoundError),
        (409, 'Conflict. The container name "/web" is already in use by container "ab".', NameTakenError),
        (409, "network with name shop already exists", NameTakenError),
        (409, "You cannot remove a running container ab. Stop the container first.", ConflictError),
        (403, "error while removing network: network shop id ab has active endpoints", ConflictError),
        (500, "Bind for 0.0.0.0:8080 failed: port is already allocated", PortTakenError),
        (500, "listen tcp4 0.0.0.0:80: bind: address already in use", PortTakenError),
        (403, "Address already in use", AddressTakenError),
        (403, "Pool overlaps with other one on this address space", SubnetTakenError),
        (500, "could not find an available, non-overlapping IPv4 address pool", SubnetTakenError),
        (500, "mkdir /var/lib/docker/overlay2/x: no space left on device", NoSpaceError),
        (400, f'{RUNC}: exec: "/not-there": stat /not-there: no such file or directory: unknown', NotRunnableError),
        (400, f'{RUNC}: exec: "serve": executable file not found in $PATH: unknown', NotRunnableError),
        (400, f'{RUNC}: exec: "/app": permission denied: unknown', NotRunnableError),
        (400, f'{OLD_RUNC}: exec: "/x": stat /x: no such file or directory: unknown', NotRunnableError),
        (500, f'{RUNC}: chdir to cwd ("/srv") set in config.json failed: permission denied', NotRunnableError),
        (400, "unable to find user app: no matching entries in passwd file", NotRunnableError),
        (500, 'exec: "docker-init": executable file not found in $PATH', EngineError),
        (500, 'failed to start shim: exec: "containerd-shim-runc-v2": executable file not found in $PATH', EngineError),
        (500, f'{RUNC}: error running hook #0: exec: "/usr/bin/gpu-hook": no such file or directory', EngineError),
        (500, f"{RUNC}: unable to apply cgroup configuration: no such file or directory", EngineError),
        (500, "failed to initialize logging driver: dial tcp 127.0.0.1:1: connect: connection refused", EngineError),
        (500, "error while mounting volume '/v': failed to mount local volume: permission denied", EngineError),
        (409, "cannot join network of a non running container: ab", ConflictError),
        (500, "something else", EngineError),
    ],
)
def test_a_refusal_becomes_its_own_kind_of_error(status: int, message: str, kind: type[EngineError]) -> None:
    error = failure(status, message, "start container web")
    assert type(error) is kind
    assert str(error).startswith("Could not start container web: ")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("no matching manifest for linux/amd64 in the manifest list entries", PlatformMissingError),
        ("manifest for host:5000/shop:two not found: manifest unknown: manifest unknown", ImageMissingError),
        ("pull access denied for shop, repository does not exist or may require 'docker login'", PullDeniedError),
        ('Head "https://host/v2/shop/manifests/two": unauthorized: authentication required', PullDeniedError),
        ("no basic auth credentials", PullDeniedError),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", NoSpaceError),
        ("toomanyrequests: You have reached your unauthenticated pull rate limit.", PullLimitedError),
        ('error parsing HTTP 429 response body: unexpected end of JSON input: ""', PullLimitedError),
        ("filesystem layer verification failed for digest sha256:ab", PullError),
        ("failed to register layer: Error processing tar file(exit status 1): unexpected EOF", PullError),
        ("x509: certificate signed by unknown authority", PullError),
        ("unexpected EOF", PullBrokenError),
        ("received unexpected HTTP status: 503 Service Unavailable", PullBrokenError),
        ('Get "https://host/v2/": dial tcp 192.0.2.1:443: connect: connection refused', PullBrokenError),
        ('Get "https://host/v2/": net/http: TLS handshake timeout', PullBrokenError),
    ],
)
def test_a_broken_pull_becomes_its_own_kind_of_error(message: str, kind: type[PullError]) -> None:
    error = pull_failure("host:5000/shop:two", message)
    assert type(error) is kind
    assert "host:5000/shop:two" in str(error)


def test_every_error_is_one_line() -> None:
    assert "\n" not in str(failure(500, "first line\nsecond line\n", "start container web"))
