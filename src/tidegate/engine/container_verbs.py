"""The verbs about containers."""
# ruff: noqa: D102 - the contracts of the verbs are the docstrings of the port

import asyncio
from collections.abc import Mapping, Sequence

from tidegate.engine import parse
from tidegate.engine.errors import ConflictError, EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.model import Container, ContainerSummary, Document, ExecResult
from tidegate.engine.negotiate import version_key
from tidegate.engine.streams import last_output
from tidegate.engine.transport import UNARY_S, WORK_S, Transport

STOP_TAKES_SIGNAL = (1, 42)
"""The first API version whose `stop` takes a signal."""

DEFAULT_STOP_S = 10
DEFAULT_STOP_SIGNAL = "SIGTERM"
_SHORTEST_ID = 12
_EXEC_OUTPUT_BYTES = 4096
_LOG_BYTES = 256 * 1024
_EXIT_CODE_TRIES = 50


class ContainerVerbs:
    """The part of the port that is about containers; see `Engine` for the contracts."""

    _transport: Transport

    async def containers(
        self, *, running_only: bool = False, labels: Mapping[str, str] | None = None
    ) -> list[ContainerSummary]:
        rows = await self._transport.call(
            "GET",
            "containers/json",
            action="list the containers",
            params={"all": not running_only, "filters": label_filter(labels)},
        )
        return [parse.summary(row) for row in rows]

    async def container(self, ref: str) -> Container:
        found = parse.container(await self._inspect(ref))
        if ref in {found.id, found.name} or (len(ref) >= _SHORTEST_ID and found.id.startswith(ref)):
            return found
        # the engine takes any beginning of an id: a missing container named `cafe` must not become another one
        raise NotFoundError(f"Could not inspect container {ref}: No such container: {ref}")

    async def _inspect(self, ref: str) -> Document:
        found: Document = await self._transport.call("GET", f"containers/{ref}/json", action=f"inspect container {ref}")
        return found

    async def create(self, name: str, request: Document) -> str:
        answer = await self._transport.call(
            "POST",
            "containers/create",
            action=f"create container {name}",
            params={"name": name},
            body=request,
            limit_s=WORK_S,
        )
        return str(answer["Id"])

    async def start(self, ref: str) -> None:
        await self._transport.call("POST", f"containers/{ref}/start", action=f"start container {ref}", limit_s=WORK_S)

    async def stop(self, ref: str, *, signal: str | None, timeout_s: int | None) -> None:
        if signal is None:
            await self._stop(ref, None, timeout_s, await self._inspect(ref))
            return
        document = await self._inspect(ref)
        own = document["Config"].get("StopSignal") or DEFAULT_STOP_SIGNAL
        if _signal_name(signal) == _signal_name(own):
            await self._stop(ref, None, timeout_s, document)
        else:
            await self._stop_by_another_signal(ref, signal, timeout_s, document)

    async def restart(self, ref: str) -> None:
        grace_s = _grace_s(None, await self._inspect(ref))
        await self._transport.call(
            "POST",
            f"containers/{ref}/restart",
            action=f"restart container {ref}",
            limit_s=None if grace_s is None else grace_s + WORK_S,
        )

    async def _stop_by_another_signal(self, ref: str, signal: str, timeout_s: int | None, document: Document) -> None:
        """Stop without being restarted: engines up to 26.1 at least do so after any signal but the container's own."""
        policy = document["HostConfig"].get("RestartPolicy") or {}
        restarts = bool(document["State"].get("Running")) and policy.get("Name") not in {None, "", "no"}
        if restarts:
            await self.set_restart_policy(ref, {"Name": "no"})
        try:
            if self._stop_takes_signal():
                await self._stop(ref, signal, timeout_s, document)
            else:
                await self._stop_by_kill(ref, signal, _grace_s(timeout_s, document))
        finally:
            if restarts:
                await self.set_restart_policy(ref, policy)

    async def _stop(self, ref: str, signal: str | None, timeout_s: int | None, document: Document) -> None:
        grace_s = _grace_s(timeout_s, document)
        await self._transport.call(
            "POST",
            f"containers/{ref}/stop",
            action=f"stop container {ref}",
            params={"signal": signal, "t": timeout_s},
            limit_s=None if grace_s is None else grace_s + UNARY_S,
        )

    def _stop_takes_signal(self) -> bool:
        version = self._transport.version
        return version is not None and version_key(version.api_used) >= STOP_TAKES_SIGNAL

    async def _stop_by_kill(self, ref: str, signal: str, grace_s: int | None) -> None:
        """What `stop` with a signal does in later versions: signal, wait, kill."""
        await self.kill(ref, signal=signal)
        try:
            async with asyncio.timeout(grace_s):
                await self.wait_exit(ref)
        except TimeoutError:
            await self.kill(ref, signal="SIGKILL")
            await self.wait_exit(ref)

    async def kill(self, ref: str, *, signal: str) -> None:
        try:
            await self._transport.call(
                "POST",
                f"containers/{ref}/kill",
                action=f"send {signal} to container {ref}",
                params={"signal": signal},
            )
        except ConflictError as error:
            if "is not running" not in str(error):
                raise

    async def wait_exit(self, ref: str) -> int:
        answer = await self._transport.call(
            "POST",
            f"containers/{ref}/wait",
            action=f"wait for container {ref}",
            params={"condition": "not-running"},
            limit_s=None,
        )
        return int(answer["StatusCode"])

    async def rename(self, ref: str, name: str) -> None:
        try:
            await self._transport.call(
                "POST",
                f"containers/{ref}/rename",
                action=f"rename container {ref} to {name}",
                params={"name": name},
            )
        except EngineError as error:
            if "same name as its current name" not in str(error):
                raise

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        try:
            await self._transport.call(
                "DELETE",
                f"containers/{ref}",
                action=f"remove container {ref}",
                params={"force": force, "v": volumes},
                limit_s=WORK_S,
            )
        except NotFoundError:
            return
        except ConflictError as error:
            if "already in progress" not in str(error):
                raise
            await self._wait_removed(ref)

    async def _wait_removed(self, ref: str) -> None:
        """Wait for a removal that somebody else began."""
        try:
            await self._transport.call(
                "POST",
                f"containers/{ref}/wait",
                action=f"wait for the removal of container {ref}",
                params={"condition": "removed"},
                limit_s=WORK_S,
            )
        except NotFoundError:
            return

    async def set_restart_policy(self, ref: str, policy: Document) -> None:
        await self._transport.call(
            "POST",
            f"containers/{ref}/update",
            action=f"change the restart policy of container {ref}",
            body={"RestartPolicy": policy},
        )

    async def execute(self, ref: str, command: Sequence[str], *, timeout_s: float | None) -> ExecResult:
        action = f"run {' '.join(command)!r} in container {ref}"
        made = await self._transport.call(
            "POST",
            f"containers/{ref}/exec",
            action=action,
            body={"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)},
        )
        async with asyncio.timeout(timeout_s):
            output = await self._exec_output(made["Id"], action)
            return ExecResult(await self._exec_code(made["Id"], action), output)

    async def _exec_output(self, exec_id: str, action: str) -> str:
        async with self._transport.stream(
            "POST", f"exec/{exec_id}/start", action=action, body={"Detach": False, "Tty": False}
        ) as response:
            return await last_output(response, tty=False, keep=_EXEC_OUTPUT_BYTES)

    async def _exec_code(self, exec_id: str, action: str) -> int:
        """The exit code, which the engine knows a moment after the streams end."""
        for _ in range(_EXIT_CODE_TRIES):
            state = await self._transport.call("GET", f"exec/{exec_id}/json", action=action)
            if not state["Running"] and state["ExitCode"] is not None:
                return int(state["ExitCode"])
            await asyncio.sleep(0.1)
        raise EngineUnavailableError(
            f"Could not {action}: the engine lost track of the command: look at the engine's log"
        )

    async def logs(self, ref: str, *, tail: int) -> str:
        document = await self._inspect(ref)
        async with self._transport.stream(
            "GET",
            f"containers/{ref}/logs",
            action=f"read the output of container {ref}",
            params={"stdout": True, "stderr": True, "tail": str(tail)},
            limit_s=UNARY_S,
        ) as response:
            return await last_output(response, tty=bool(document["Config"].get("Tty")), keep=_LOG_BYTES)


def _grace_s(timeout_s: int | None, document: Document) -> int | None:
    """The grace period that will count; None where it has no end."""
    if timeout_s is None:
        own = document["Config"].get("StopTimeout")
        timeout_s = DEFAULT_STOP_S if own is None else int(own)
    return timeout_s if timeout_s >= 0 else None


def _signal_name(text: str) -> str:
    """`SIGTERM`, `term` and `TERM` are one signal; numbers stay what they are."""
    return text.upper().removeprefix("SIG")


def label_filter(labels: Mapping[str, str] | None) -> dict[str, list[str]] | None:
    """The engine's filter for objects that carry all these labels; an empty value matches any."""
    if not labels:
        return None
    return {"label": [f"{key}={value}" if value else key for key, value in labels.items()]}
