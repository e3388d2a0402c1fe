"""A container's places on networks, as they have to be asked for to have them again."""

from collections.abc import Collection, Mapping
from typing import Any

Document = Mapping[str, Any]

SHORT_ID = 12


def short_id(document: Document) -> str:
    """The container's short id, which the engine uses as a host name and as an alias."""
    return str(document["Id"])[:SHORT_ID]


def endpoints_of(document: Document) -> Mapping[str, Document]:
    """What the engine said about each network of a container, by the network's name."""
    networks = (document.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: settings or {} for name, settings in networks.items()}


def without_networks(document: Document, names: Collection[str]) -> Document:
    """The document as it would be if the container were not on these networks."""
    if not names:
        return document
    kept = {name: place for name, place in endpoints_of(document).items() if name not in names}
    return {**document, "NetworkSettings": {**(document.get("NetworkSettings") or {}), "Networks": kept}}


def links_of(document: Document) -> tuple[str, ...]:
    """Every link, on the default bridge and on networks of its own, as the engine spells it (`db:database`)."""
    everywhere = [(document.get("HostConfig") or {}).get("Links")]
    everywhere += [place.get("Links") for place in endpoints_of(document).values()]
    return tuple(dict.fromkeys(link for links in everywhere for link in links or ()))


def primary_network(document: Document) -> str | None:
    """The network that `NetworkMode` names, as the engine names it among the endpoints; None for other modes."""
    mode = str((document.get("HostConfig") or {}).get("NetworkMode") or "default")
    if mode.startswith("container:") or mode in {"host", "none"}:
        return None
    if mode == "default":
        return "bridge"
    return next(
        (name for name, place in endpoints_of(document).items() if mode in {name, place.get("NetworkID")}), mode
    )


def endpoint_settings(document: Document, network: str) -> dict[str, Any]:
    """What `network connect` takes to give a container the same place on this network again.

    What the engine made up by itself (addresses, MACs, the alias that is the short id) is left out.
    """
    place = endpoints_of(document).get(network, {})
    kept = {
        "IPAMConfig": _asked_addresses(place),
        "Aliases": _asked_aliases(document, place),
        "Links": list(place.get("Links") or ()),
        "DriverOpts": dict(place.get("DriverOpts") or {}),
        "MacAddress": asked_mac(document, network),
    }
    return {key: value for key, value in kept.items() if value}


def asked_mac(document: Document, network: str) -> str:
    """The MAC address that the user asked for on this network, or an empty string.

    The primary network's is in the container's own settings (engines 20.10 and 26.1). Elsewhere an engine shows
    the address in use only. Engines before 28 derive those they make up from the IPv4 address: in a document
    that shows one derived so, those that are not were asked for.
    """
    if network == primary_network(document):
        return str((document.get("Config") or {}).get("MacAddress") or "")
    places = endpoints_of(document)
    place = places.get(network, {})
    if not place.get("MacAddress") or _derived(place) or not any(map(_derived, places.values())):
        return ""
    return str(place["MacAddress"])


def _asked_addresses(place: Document) -> dict[str, Any]:
    return {key: value for key, value in (place.get("IPAMConfig") or {}).items() if value}


def _asked_aliases(document: Document, place: Document) -> list[str]:
    made_up = {short_id(document)}
    if "DNSNames" not in place:
        # engines before 25 list the host name among the aliases, and will again
        made_up.add(str((document.get("Config") or {}).get("Hostname") or ""))
    return [alias for alias in dict.fromkeys(place.get("Aliases") or ()) if alias not in made_up]


def _derived(place: Document) -> bool:
    """Whether the MAC address is the one that an engine makes out of the IPv4 address."""
    parts = str(place.get("IPAddress") or "").split(".")
    if len(parts) != 4 or not all(part.isdigit() for part in parts):  # noqa: PLR2004 - an IPv4 address has four
        return False
    made = ":".join(["02", "42", *(f"{int(part):02x}" for part in parts)])
    return str(place.get("MacAddress") or "").lower() == made
