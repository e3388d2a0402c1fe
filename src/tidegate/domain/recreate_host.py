"""The `HostConfig` part of a create request: copied whole, with volumes by name."""

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]
HostConfig = dict[str, Any]

_CONTAINER_MODES = ("NetworkMode", "IpcMode", "PidMode")

_MASKED_BY_ENGINE = frozenset(
    {
        *("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
        *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
        "/sys/devices/virtual/powercap",
    }
)
_READ_ONLY_BY_ENGINE = frozenset(
    {
        *("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/proc/asound"),
    }
)


def host_config(old: Document, *, names: Mapping[str, str]) -> HostConfig:
    """A container's `HostConfig` to be asked for again.

    `names` maps the ids of other containers to their names: modes such as `container:<id>` and volumes-from
    outlive a replacement of the container that they point to only by name.
    """
    host = {key: value for key, value in old["HostConfig"].items() if key != "ContainerIDFile"}
    for key in _CONTAINER_MODES:
        if key in host:
            host[key] = _by_name(str(host[key] or ""), names)
    if host.get("VolumesFrom"):
        host["VolumesFrom"] = [_volumes_from(entry, names) for entry in host["VolumesFrom"]]
    _without_engine_paths(host)
    _with_volume_names(host, old)
    return host


def _by_name(mode: str, names: Mapping[str, str]) -> str:
    kind, colon, target = mode.partition(":")
    return f"container:{names.get(target, target)}" if kind == "container" and colon else mode


def _volumes_from(entry: str, names: Mapping[str, str]) -> str:
    target, colon, mode = entry.partition(":")
    return names.get(target, target) + colon + mode


def _without_engine_paths(host: HostConfig) -> None:
    """Drop the path lists that are the engine's own: a newer engine hides more, and must be free to."""
    for key, own in (("MaskedPaths", _MASKED_BY_ENGINE), ("ReadonlyPaths", _READ_ONLY_BY_ENGINE)):
        paths = host.get(key)
        # an empty list is the user's: systempaths=unconfined
        if paths is None or (paths and own.issuperset(path for path in paths if "thermal_throttle" not in path)):
            host.pop(key, None)


def _with_volume_names(host: HostConfig, old: Document) -> None:
    """Name every anonymous volume, so that the new container mounts the same one."""
    names = {
        _clean(mount["Destination"]): mount
        for mount in old.get("Mounts") or ()
        if mount.get("Type") == "volume" and mount.get("Name")
    }
    host["Binds"] = [_named_bind(bind, names) for bind in host.get("Binds") or ()] or None
    mounts = [_named_mount(mount, names) for mount in host.get("Mounts") or ()]
    covered = {_clean(bind_target(bind)) for bind in host["Binds"] or ()}
    covered |= {_clean(str(mount.get("Target", ""))) for mount in mounts}
    mounts += [_mount_by_name(mount) for target, mount in names.items() if target not in covered and _own(target, old)]
    if mounts:
        host["Mounts"] = mounts


def _named_bind(bind: str, names: Mapping[str, Document]) -> str:
    """A bind that has a target only is an anonymous volume."""
    known = names.get(_clean(bind)) if ":" not in bind else None
    return f"{known['Name']}:{bind}" if known else bind


def _named_mount(mount: Document, names: Mapping[str, Document]) -> dict[str, Any]:
    known = names.get(_clean(str(mount.get("Target", ""))))
    if mount.get("Type") == "volume" and not mount.get("Source") and known:
        return {**mount, "Source": known["Name"]}
    return dict(mount)


def _mount_by_name(mount: Document) -> dict[str, Any]:
    entry = {"Type": "volume", "Source": mount["Name"], "Target": mount["Destination"]}
    return entry if mount.get("RW", True) else {**entry, "ReadOnly": True}


def _own(target: str, old: Document) -> bool:
    """Whether a volume is the container's own, and not one that comes with volumes-from."""
    if not old["HostConfig"].get("VolumesFrom"):
        return True
    return target in _cleaned(old["Config"].get("Volumes") or ())


def bind_target(bind: str) -> str:
    """The path inside the container of `source:target[:options]` or of a lone target."""
    parts = bind.split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _cleaned(paths: Iterable[str]) -> set[str]:
    return {_clean(path) for path in paths}


def _clean(path: str) -> str:
    return posixpath.normpath(path) if path else path
