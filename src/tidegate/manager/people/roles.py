"""Who may do what."""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a token is for."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Permission(StrEnum):
    """What a route asks for. Each is named after what it allows."""

    READ = "read"
    OPERATE = "operate"
    """Everything that moves: rollouts, freezes, windows, a channel's poll, labels of clusters, alerts."""
    APPROVE = "approve"
    QUARANTINE = "quarantine"
    RELEASE_QUARANTINE = "release-quarantine"
    POLICIES = "policies"
    AGENTS = "agents"
    TOKENS = "tokens"


_READER = frozenset({Permission.READ})

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _READER,
    Role.OPERATOR: _READER | {Permission.OPERATE, Permission.QUARANTINE},
    Role.APPROVER: _READER | {Permission.APPROVE},
    Role.ADMIN: frozenset(Permission),
}


def allowed(role: Role, permission: Permission) -> bool:
    """Whether a role has a permission."""
    return permission in PERMISSIONS[role]


def roles_with(permission: Permission) -> list[Role]:
    """The roles that have a permission."""
    return [role for role in Role if allowed(role, permission)]
