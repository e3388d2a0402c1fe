"""Old container + old image + new image -> create request.

What the user set is asked for again; what the old image gave is left out, so that the new image's value counts.

`HostConfig.NetworkMode` always stays as it was, whatever networks are joined at creation. Tried on engines 20.10
and 26.1: with endpoints in the request the engine joins these only and does not look at the mode; the networks of
a running container can then be changed one by one; a restart of the container and a kill of the engine keep them
(also none: a container that left its last network comes back without any). A mode that names a network which is
removed later makes the next start fail on 26.1 ("could not find a network matching network mode"), so a network
that lives for one transaction must never be named there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.labels import FOLLOWS, ORIGINAL_IMAGE
from tidegate.domain.recreate_config import COMPOSE_IMAGE, emptied_entrypoint, full_config, own_config
from tidegate.domain.recreate_host import host_config
from tidegate.domain.recreate_networks import endpoint_settings, endpoints_of, primary_network

Document = Mapping[str, Any]

MAC_BY_ENDPOINT_SINCE = (1, 44)
"""The first API version that takes a MAC address for each network; before, there is one for the container."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What makes a container: the body of the create request without networks, and how each of these is joined.

    `endpoints` maps a network's name to its endpoint settings; the one that the network mode names comes first.
    """

    body: dict[str, Any]
    endpoints: dict[str, dict[str, Any]]


def create_request(
    old: Document,
    old_image: Document,
    new_image: Document,
    *,
    image_reference: str,
    api: str,
    names: Mapping[str, str] | None = None,
    pin: str | None = None,
) -> CreateRequest:
    """The request that makes `old` again from another image. The three documents are what `inspect` says.

    `image_reference` is the image as the user wrote it, and must name the new image when the request is sent;
    `api` the version spoken with the engine; `names` the names of other containers by id, for `container:<id>` modes.
    `pin` is the new image by digest, where the container is to be made by that: whoever else follows tags leaves it.
    """
    config = own_config(old, old_image, new_image)
    emptied = emptied_entrypoint(old, old_image)
    if emptied is not None:
        config["Entrypoint"] = emptied
    if COMPOSE_IMAGE in config["Labels"] and not _follows_another(old, image_reference):
        config["Labels"][COMPOSE_IMAGE] = str(new_image["Id"])
    _name_image(config, image_reference, pin)
    config["HostConfig"] = host_config(old, names=names or {})
    return _with_networks(old, config, api)


def _name_image(config: dict[str, Any], reference: str, pin: str | None) -> None:
    """By its tag, or pinned, with a label that tells what is followed all the same."""
    config["Image"] = pin or reference
    labels = {name: value for name, value in (config.get("Labels") or {}).items() if name != FOLLOWS}
    config["Labels"] = labels | ({FOLLOWS: reference} if pin else {})


def _follows_another(old: Document, image_reference: str) -> bool:
    """Whether a label lets it follow another image than the one in its Compose file.

    Compose compares `com.docker.compose.image` with what the tag in its file names. That tag is not moved then, so the
    label has to stay, now and at every later update: from the first one on, the container runs something else than it.
    """
    config = old["Config"]
    labels = config.get("Labels") or {}
    if ORIGINAL_IMAGE not in labels:
        return False
    return bool(config["Image"] != image_reference or labels.get(COMPOSE_IMAGE) != old["Image"])


def incumbent_request(
    old: Document,
    *,
    api: str,
    image: str | None = None,
    names: Mapping[str, str] | None = None,
    pin: str | None = None,
) -> CreateRequest:
    """The request that makes `old` again as it was, from its own image.

    `image` is the image's id by default; give the reference that the container had where that names the old
    image again, so that people see what they are used to. `pin` is as in `create_request`, of the old image.
    """
    config = full_config(old)
    if "Entrypoint" not in config:
        # harmless where the image has none either; where it has one, the container was told to have none
        config["Entrypoint"] = [""]
    if pin is not None:
        _name_image(config, image or str(old["Config"]["Image"]), pin)
    else:
        config["Image"] = image or old["Image"]
    config["HostConfig"] = host_config(old, names=names or {})
    return _with_networks(old, config, api)


def _with_networks(old: Document, body: dict[str, Any], api: str) -> CreateRequest:
    by_endpoint = _version(api) >= MAC_BY_ENDPOINT_SINCE
    if by_endpoint:
        body.pop("MacAddress", None)
    return CreateRequest(body, {name: _settings(old, name, mac=by_endpoint) for name in _joinable(old)})


def _joinable(old: Document) -> list[str]:
    """The container's networks with the primary one first; none where it has no networks of its own."""
    primary = primary_network(old)
    if primary is None or old["Config"].get("NetworkDisabled"):
        return []
    networks = list(endpoints_of(old))
    return sorted(networks, key=lambda network: network != primary)


def _settings(old: Document, network: str, *, mac: bool) -> dict[str, Any]:
    settings = endpoint_settings(old, network)
    if not mac:
        settings.pop("MacAddress", None)  # older versions read the container's own only
    return settings


def _version(api: str) -> tuple[int, ...]:
    return tuple(int(part) for part in api.split("."))
