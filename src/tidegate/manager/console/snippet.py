"""What is pasted to start an agent: a Compose file that is whole, with the token that lets it in."""

import ipaddress
import json
from urllib.parse import urlsplit

from fastapi import Request

from tidegate.manager.settings import ManagerSettings

IMAGE = "ghcr.io/tidegate/agent:latest"
_FILE = """\
services:
  tidegate:
    image: {image}
    restart: unless-stopped
    command: --label-enable --cleanup --interval 5m
    stop_grace_period: 1m
    environment:
      TIDEGATE_MANAGER: {manager}
      TIDEGATE_AGENT_NAME: {name}
      TIDEGATE_ENROL_TOKEN: {token}
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
      - state:/var/lib/tidegate
volumes:
  state:
"""


def compose_file(manager: str, name: str, token: str) -> str:
    """As deploy/docker-compose.managed.yml, but with nothing left to set."""
    return _FILE.format(image=IMAGE, manager=_text(manager), name=_text(name), token=_text(token))


def address_for_agents(request: Request, settings: ManagerSettings) -> str:
    """The manager's address as it was set; else the one that it was asked at."""
    return (settings.public_url or str(request.base_url)).rstrip("/")


def is_this_machine(url: str) -> bool:
    """Whether an address leads everybody to their own machine; from a container to that container."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _text(value: str) -> str:
    """Text to YAML, whatever it looks like, and without anything that Compose would fill in."""
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")
