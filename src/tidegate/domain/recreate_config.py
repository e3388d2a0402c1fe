"""The `Config` part of a create request: what the user set, without what the old image gave."""

from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.domain.recreate_networks import short_id

Document = Mapping[str, Any]
Config = dict[str, Any]

COMPOSE_IMAGE = "com.docker.compose.image"
COMPOSE_REPLACE = "com.docker.compose.replace"
OWN_TRANSACTION = "tidegate.transaction"
PASSING_LABELS = frozenset({COMPOSE_REPLACE, OWN_TRANSACTION})
"""Labels that speak of one replacement and must not outlive it."""

_SAME_OR_IMAGE = ("WorkingDir", "User", "StopSignal", "Shell")
_KEYS_OF_IMAGE = ("Volumes", "ExposedPorts")


def image_config(image: Document) -> Document:
    """The settings that an image gives its containers."""
    config: Document = image.get("Config") or {}
    return config


def full_config(old: Document) -> Config:
    """Every setting of a container, to be made again from the very same image."""
    config = {key: value for key, value in old["Config"].items() if key not in {"Image", "OnBuild"}}
    if not config.get("Entrypoint") and config.get("Entrypoint") is None:
        config.pop("Entrypoint", None)
    _without_given_names(config, old)
    config["Labels"] = kept_labels(config.get("Labels") or {})
    return config


def own_config(old: Document, old_image: Document, new_image: Document) -> Config:
    """The settings of a container that its image did not give it, and what they need of it where it is gone."""
    config, given = full_config(old), image_config(old_image)
    for key in _SAME_OR_IMAGE:
        if config.get(key) == given.get(key):
            config.pop(key, None)
    for key in _KEYS_OF_IMAGE:
        config[key] = {name: {} for name in config.get(key) or {} if name not in (given.get(key) or {})}
    _without_given_command(config, given)
    _without_given_healthcheck(config, given, checked_anew=bool(image_config(new_image).get("Healthcheck")))
    config["Env"] = _without(config.get("Env") or (), given.get("Env") or ())
    config["Labels"] = _without_pairs(config["Labels"], given.get("Labels") or {})
    _with_bound_ports(config, old)
    return config


def emptied_entrypoint(old: Document, image: Document) -> list[str] | None:
    """What says "no entry point" to the engine, where the container has none and its image has one."""
    if not old["Config"].get("Entrypoint") and image_config(image).get("Entrypoint"):
        return [""]
    return None


def kept_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels without those that speak of one replacement only."""
    return {key: value for key, value in labels.items() if key not in PASSING_LABELS}


def _without_given_names(config: Config, old: Document) -> None:
    """Drop host names that the engine made up, or that it refuses beside the container's other settings."""
    host = old.get("HostConfig") or {}
    if config.get("Hostname") == short_id(old) or host.get("UTSMode") == "host":
        config.pop("Hostname", None)
    if str(host.get("NetworkMode", "")).startswith("container:"):
        for key in ("Hostname", "Domainname", "MacAddress", "ExposedPorts"):
            config.pop(key, None)


def _without_given_command(config: Config, given: Document) -> None:
    """Drop the entry point that is the image's, and the command behind it if that is the image's too."""
    if _list(config.get("Entrypoint")) != _list(given.get("Entrypoint")):
        return
    if _list(config.get("Cmd")) == _list(given.get("Cmd")):
        config.pop("Cmd", None)
        config.pop("Entrypoint", None)
    elif _list(config.get("Cmd")):
        config.pop("Entrypoint", None)
    # the entry point stays where it was given anew without a command: else the new image's command would come in


def _without_given_healthcheck(config: Config, given: Document, *, checked_anew: bool) -> None:
    """Drop the fields that are the image's, unless the user set others and the new image has no check of its own.

    A check in a Compose file may name the image's own command with other times: its times alone would check nothing.
    """
    image_check = given.get("Healthcheck") or {}
    whole = {key: value for key, value in (config.pop("Healthcheck", None) or {}).items() if value}
    own = {key: value for key, value in whole.items() if value != image_check.get(key)}
    if own:
        config["Healthcheck"] = own if checked_anew else whole


def _with_bound_ports(config: Config, old: Document) -> None:
    bound = (old.get("HostConfig") or {}).get("PortBindings") or {}
    config["ExposedPorts"].update({port: {} for port in bound})


def _without(own: Iterable[str], given: Iterable[str]) -> list[str]:
    known = set(given)
    return [entry for entry in own if entry not in known]


def _without_pairs(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in own.items() if given.get(key) != value}


def _list(value: Any) -> list[str]:
    """A command as a list; the engine writes an absent one as null or as an empty list."""
    return [value] if isinstance(value, str) else list(value or ())
