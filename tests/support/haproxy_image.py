"""An image of HAProxy from Debian's package, in the place of the public one.

It has the same user, the same program, and its configuration in the same place.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests.support.docker import docker
from tests.support.linked import copy_libraries

from groundwork import base
from groundwork.paths import GroundError, unpacked

TAG = "tidegate-test-haproxy:local"
_DOCKERFILE = """FROM {base}
COPY haproxy /usr/sbin/
COPY libraries /opt/libraries
ENV LD_LIBRARY_PATH=/opt/libraries
USER 99:99
STOPSIGNAL SIGUSR1
ENTRYPOINT ["haproxy", "-W", "-db"]
CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""


def program() -> Path:
    """HAProxy itself. Raises `GroundError` where it is not to be had."""
    found = unpacked("haproxy") / "usr/sbin/haproxy"
    if not found.exists():
        raise GroundError("HAProxy is not here: `make test` on Debian bookworm fetches it.")
    return found


def ensure() -> str:
    """Have the image on the engine; its tag. Raises `GroundError` where HAProxy is not to be had."""
    if docker("image", "inspect", "--format", "{{.Id}}", TAG, check=False):
        return TAG
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        shutil.copy(program(), context)
        copy_libraries([program()], context / "libraries", environment())
        (context / "Dockerfile").write_text(_DOCKERFILE.format(base=base.ensure()), encoding="utf-8")
        docker("build", "-q", "-t", TAG, str(context), timeout_s=180)
    return TAG


def environment() -> dict[str, str]:
    """The variables it needs to run here."""
    libraries = sorted((unpacked("haproxy") / "usr/lib").glob("*-linux-*"))
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}
