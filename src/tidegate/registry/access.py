"""What may be done with a repository: the actions that a token is asked for, and the words for people."""

from enum import Enum


class Access(Enum):
    """`actions` are those of the token protocol's scope."""

    READ = ("pull", "reading", "read access")
    WRITE = ("pull,push", "writing to", "write access")

    def __init__(self, actions: str, doing: str, right: str) -> None:
        self.actions = actions
        self.doing = doing
        self.right = right
