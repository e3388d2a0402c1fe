"""The tables of docs/settings.md and docs/watchtower.md, from what the program honours."""

from tidegate.agent.settings_table import SETTINGS, Setting
from tidegate.domain.labels import LABELS
from tidegate.manager.settings_table import SETTINGS as MANAGER_SETTINGS


def settings_table() -> str:
    """Every honoured setting as a Markdown table."""
    rows = ["| flag | variable | takes | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for setting in SETTINGS:
        if not setting.refused:
            cells = (
                _flag(setting),
                _variables(setting),
                setting.kind.takes,
                _code(setting.default),
                setting.meaning,
            )
            rows.append(_row(*cells))
    return "\n".join(rows)


def manager_settings_table() -> str:
    """Every setting of the manager as a Markdown table."""
    rows = ["| variable | takes | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [_row(_code(x.env), x.kind.takes, _code(x.default), x.meaning) for x in MANAGER_SETTINGS]
    return "\n".join(rows)


def labels_table() -> str:
    """Every label as a Markdown table."""
    rows = ["| label | Watchtower's | takes | default | meaning |", "| --- | --- | --- | --- | --- |"]
    rows += [_row(_code(x.name), _code(x.watchtower), x.takes, x.default, x.meaning) for x in LABELS]
    return "\n".join(rows)


def watchtower_table() -> str:
    """Every setting of Watchtower's, and whether it is honoured."""
    rows = ["| variable | flag | status | what it does here |", "| --- | --- | --- | --- |"]
    for setting in SETTINGS:
        theirs = [env for env in setting.envs if not env.startswith("TIDEGATE_")]
        flags_only = setting.flag == "health-check"
        if theirs or flags_only:
            status, says = ("refused", setting.refused) if setting.refused else ("honoured", setting.meaning)
            rows.append(_row(", ".join(map(_code, theirs)), _flag(setting), status, says))
    return "\n".join(rows)


def watchtower_labels_table() -> str:
    """Every label of Watchtower's; all are honoured."""
    rows = ["| label | our own | status | meaning |", "| --- | --- | --- | --- |"]
    rows += [_row(_code(x.watchtower), _code(x.name), "honoured", x.meaning) for x in LABELS if x.watchtower]
    return "\n".join(rows)


def _flag(setting: Setting) -> str:
    return " ".join(
        _code(f) for f in (setting.flag and f"--{setting.flag}", setting.short and f"-{setting.short}") if f
    )


def _variables(setting: Setting) -> str:
    return ", ".join(map(_code, setting.envs))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
