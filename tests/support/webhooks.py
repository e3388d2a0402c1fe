"""What registries send when a tag is pushed."""

from typing import Any

DIGEST = "sha256:" + "a" * 64
GITHUB: dict[str, Any] = {
    "action": "published",
    "package": {
        "name": "Orchestrator",
        "namespace": "Acme",
        "package_type": "CONTAINER",
        "owner": {"login": "Acme"},
        "package_version": {
            "version": DIGEST,
            "container_metadata": {"tag": {"name": "autonomy-latest", "digest": DIGEST}},
        },
    },
}
REGISTRY_PACKAGE: dict[str, Any] = {"action": "updated", "registry_package": GITHUB["package"]}
DISTRIBUTION: dict[str, Any] = {
    "events": [
        {"action": "pull", "target": {"repository": "a", "tag": "x"}, "request": {"host": "reg.test:5000"}},
        {
            "action": "push",
            "target": {"repository": "acme/web", "digest": DIGEST},
            "request": {"host": "reg.test:5000"},
        },
        {
            "action": "push",
            "target": {"repository": "acme/web", "tag": "live", "digest": DIGEST},
            "request": {"host": "reg.test:5000"},
        },
    ]
}
DOCKER_HUB: dict[str, Any] = {"push_data": {"tag": "live"}, "repository": {"repo_name": "acme/web", "name": "web"}}
HARBOR: dict[str, Any] = {
    "type": "PUSH_ARTIFACT",
    "event_data": {
        "resources": [{"digest": DIGEST, "tag": "live", "resource_url": "harbor.test:8443/acme/web:live"}],
        "repository": {"repo_full_name": "acme/web"},
    },
}
