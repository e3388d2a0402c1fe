"""What webhooks hold, as schemas for people and programs to read; `domain.webhook` reads them, and decides."""

from typing import Any

_OTHERS = "Members that are not here are passed over."


def _member(about: str, **schema: Any) -> dict[str, Any]:
    return {**schema, "description": about}


WEBHOOK_SCHEMAS: dict[str, dict[str, Any]] = {
    "PlainWebhook": {
        "type": "object",
        "description": f"What `generic` takes. {_OTHERS}",
        "required": ["image"],
        "properties": {
            "image": _member("What was pushed, `REPOSITORY:TAG`.", type="string"),
            "digest": _member("The digest that it is now, where that is known.", type="string"),
        },
    },
    "GitHubWebhook": {
        "type": "object",
        "description": f"What `github` takes: GitHub's package events, and its ping. {_OTHERS}",
        "properties": {
            "action": _member("`published` or `updated`; others tell of nothing that was pushed.", type="string"),
            "package": _member("The package, with its `name`, `namespace` or `owner`, and `package_version`."),
            "registry_package": _member("The same, in events of that name."),
            "zen": _member("Something that GitHub says in its ping.", type="string"),
        },
    },
    "DistributionWebhook": {
        "type": "object",
        "description": f"What `distribution` takes: the notifications of that registry. {_OTHERS}",
        "required": ["events"],
        "properties": {
            "events": _member(
                "What has happened, each with its `action`, `target` (`repository`, `tag`, `digest`) and `request` "
                "(`host`).",
                type="array",
            )
        },
    },
    "DockerHubWebhook": {
        "type": "object",
        "description": f"What `dockerhub` takes. {_OTHERS}",
        "required": ["push_data", "repository"],
        "properties": {
            "push_data": _member("What was pushed, with its `tag`."),
            "repository": _member("Where to, with its `repo_name`."),
        },
    },
    "HarborWebhook": {
        "type": "object",
        "description": f"What `harbor` takes, in Harbor's default format. {_OTHERS}",
        "required": ["event_data"],
        "properties": {
            "type": _member("`PUSH_ARTIFACT`; others tell of nothing that was pushed.", type="string"),
            "event_data": _member("What was pushed: `resources`, each with `resource_url`, `tag` and `digest`."),
        },
    },
}
"""By their names among the document's components."""

WEBHOOK = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in WEBHOOK_SCHEMAS]}
"""The body of any kind; the address says which."""
