"""Finds the text of each setting on the command line, as Go's pflag does, and in the environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.agent.settings_table import SETTINGS, Setting
from tidegate.domain.values import near_miss

ALIASES = {"once": "run-once"}
_PREFIXES = ("WATCHTOWER_", "TIDEGATE_")
_FLAGS = {setting.flag: setting for setting in SETTINGS if setting.flag}
_SHORTS = {setting.short: setting for setting in SETTINGS if setting.short}
_ENVS = {env: setting for setting in SETTINGS for env in setting.envs}


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was given; `origin` is the flag or variable."""

    setting: Setting
    origin: str
    text: str


@dataclass(slots=True)
class Found:
    """What was found: values, positional names, sentences for what cannot be understood, and warnings.

    `strange`: a flag is not known, so what looks like a name may be its value, and a secret.
    """

    given: list[Given] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    strange: bool = False


def read_arguments(argv: Sequence[str], found: Found) -> None:
    """Flags in any order among names; `--` ends the flags."""
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            found.names.extend(rest)
            return
        if argument.startswith("--"):
            _long(argument, rest, found)
        elif argument.startswith("-") and argument != "-":
            _short(argument, rest, found)
        else:
            found.names.append(argument)


def read_environment(environ: Mapping[str, str], found: Found) -> list[Given]:
    """Variables of the table. An empty one counts as not set; an unknown one of ours is a warning."""
    given = []
    for name, text in sorted(environ.items()):
        setting = _ENVS.get(name)
        if setting is not None and text.strip():
            given.append(Given(setting, name, text.strip()))
        elif setting is None and name.startswith(_PREFIXES):
            found.warnings.append(f"{name} is not known and has no effect.{near_miss(name, list(_ENVS))}")
    return given


def _long(argument: str, rest: list[str], found: Found) -> None:
    flag, equals, text = argument[2:].partition("=")
    setting = _FLAGS.get(ALIASES.get(flag, flag))
    if setting is None:
        known = [f"--{name}" for name in _FLAGS]
        found.strange = True
        found.errors.append(f"--{flag} is not a known flag.{near_miss(f'--{flag}', known)}")
        return
    _take(setting, f"--{flag}", text if equals else None, rest, found)


def _short(argument: str, rest: list[str], found: Found) -> None:
    """`-cR`, `-i 30`, `-i30`, `-i=30`, `-c=false`."""
    letters = argument[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        setting = _SHORTS.get(letter)
        if setting is None:
            found.strange = True
            found.errors.append(f"-{letter} is not a known flag.")
            return
        attached = None
        if letters.startswith("=") or (letters and not setting.is_bool):
            attached, letters = letters.removeprefix("="), ""
        _take(setting, f"-{letter}", attached, rest, found)


def _take(setting: Setting, origin: str, text: str | None, rest: list[str], found: Found) -> None:
    if text is None and setting.is_bool:
        text = "true"
    if text is None and rest:
        text = rest.pop(0)
    if text is None:
        found.errors.append(f"{origin} needs a value: {setting.kind.takes}.")
        return
    found.given.append(Given(setting, origin, text))
