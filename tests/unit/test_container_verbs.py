"""What a stop by another signal than the container's own leaves behind where the engine refuses it."""

from typing import Any

import pytest

from tidegate.engine.container_verbs import ContainerVerbs
from tidegate.engine.errors import ConflictError

ALWAYS = {"Name": "always", "MaximumRetryCount": 0}


class Transport:
    """Refuses to send a signal; writes down the restart policies it is told."""

    version = None

    def __init__(self) -> None:
        self.policies: list[Any] = []

    async def call(self, _: str, path: str, *, body: Any = None, **__: Any) -> Any:
        if path.endswith("/update"):
            self.policies.append(body["RestartPolicy"]["Name"])
        if path.endswith("/kill"):
            raise ConflictError("it cannot be signalled")
        return {"Config": {}, "State": {"Running": True}, "HostConfig": {"RestartPolicy": ALWAYS}}


async def test_the_restart_policy_comes_back_where_the_stop_fails() -> None:
    verbs = ContainerVerbs()
    verbs._transport = transport = Transport()  # type: ignore[assignment]
    with pytest.raises(ConflictError):
        await verbs.stop("web", signal="SIGQUIT", timeout_s=1)
    assert transport.policies == ["no", "always"]
