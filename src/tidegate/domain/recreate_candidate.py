"""A create request as a transaction needs it: without networks, then with those of the moment."""

from collections.abc import Mapping
from typing import Any

from tidegate.domain.labels import OWN, WATCHTOWER
from tidegate.domain.recreate import CreateRequest

NO_RESTART: Mapping[str, Any] = {"Name": "no", "MaximumRetryCount": 0}
"""The restart policy of a container that the agent alone may start."""

_COMPOSE = "com.docker.compose."


def split(request: CreateRequest, networks: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The body, and the endpoint settings of every one of the container's `networks`."""
    return request.body, {network: request.endpoints.get(network, {}) for network in networks}


def labels_of(body: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of the container to be."""
    return body.get("Labels") or {}


def restart_policy_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The restart policy the user asked for."""
    return (body.get("HostConfig") or {}).get("RestartPolicy") or NO_RESTART


def for_candidate(
    body: Mapping[str, Any], labels: Mapping[str, str], network: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of a candidate: one network at creation (None leaves it to the network mode), no restarts yet."""
    host = {**(body.get("HostConfig") or {}), "RestartPolicy": dict(NO_RESTART)}
    made = {**body, "Labels": {**labels_of(body), **labels}, "HostConfig": host}
    # the default network is joined by the mode, and named only where there is something to ask of it
    if network is not None and (network != "bridge" or settings):
        made["NetworkingConfig"] = {"EndpointsConfig": {network: dict(settings)}}
        if network == "bridge":
            host["NetworkMode"] = "bridge"  # `default` is the same network, but not to the engine's check
    return made


def for_second_opinion(
    body: Mapping[str, Any], labels: Mapping[str, str], network: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The same release where nobody finds it: no host ports, no names, nothing that Compose would count."""
    own = {key: value for key, value in labels_of(body).items() if not key.startswith(_COMPOSE)}
    host = {**(body.get("HostConfig") or {}), "PortBindings": {}, "PublishAllPorts": False}
    hidden = {**body, "Labels": own, "HostConfig": host}
    return for_candidate(hidden, labels, network, nameless(settings))


def for_rehearsal(
    body: Mapping[str, Any], labels: Mapping[str, str], image: str, network: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The same container from an image's id, never to be started: nothing that Compose or an updater would count."""
    theirs = (_COMPOSE, OWN, f"{WATCHTOWER}.")
    own = {key: value for key, value in labels_of(body).items() if not key.startswith(theirs) and key != WATCHTOWER}
    hidden = {**body, "Image": image, "Labels": {**own, f"{WATCHTOWER}.enable": "false"}}
    return for_candidate(hidden, labels, network, settings)


def nameless(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Endpoint settings without names and without addresses, which the incumbent has."""
    return {key: value for key, value in settings.items() if key not in {"Aliases", "IPAMConfig", "MacAddress"}}
