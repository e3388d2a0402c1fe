"""Whose token it is."""

from typing import Annotated

from pydantic import BaseModel, Field

from tidegate.manager.api.access import needs
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.roles import PERMISSIONS, Permission, Role
from tidegate.manager.people.tokens import Who

router = make_router("people")


class Me(BaseModel):
    """Whose token the request carries."""

    user: str = Field(description="The name of the user.")
    role: Role = Field(description="What the token is for.")
    token_id: int = Field(description="The number of the token.")
    permissions: list[Permission] = Field(description="What the role allows.")


@router.get("/me")
async def me(who: Annotated[Who, needs(Permission.READ)]) -> Me:
    """Say whose token this is, and what it allows."""
    allowed = [one for one in Permission if one in PERMISSIONS[who.role]]
    return Me(user=who.user, role=who.role, token_id=who.token_id, permissions=allowed)
