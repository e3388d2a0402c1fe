"""An image of PostgreSQL from Debian's package, in the place of the public one.

It does what the public one does with the variables, the volume and the signals that deploy/manager/postgres.yml counts
on: the first start makes the database by a server that nobody but its own container reaches.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.support import linked, postgres
from tests.support.docker import docker

from groundwork import base
from groundwork.paths import unpacked

_PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_isready", "createdb", "pg_dump", "pg_restore")
_START = """#!/bin/sh
set -e
umask 077
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -n "$POSTGRES_PASSWORD_FILE" ]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
    if [ -z "$POSTGRES_PASSWORD" ]; then echo 'superuser password is not specified' >&2; exit 1; fi
    export PGUSER="${POSTGRES_USER:-postgres}"
    printf '%s\\n' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --encoding=UTF8 --locale=C --username="$PGUSER" --pwfile=/tmp/password
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    pg_ctl -o "-c listen_addresses=''" -w start
    createdb --maintenance-db=postgres "${POSTGRES_DB:-$PGUSER}"
    pg_ctl -m fast -w stop
fi
exec postgres -c listen_addresses='*'
"""
_DOCKERFILE = """FROM {base}
COPY postgresql /usr/lib/postgresql
COPY share /usr/share/postgresql
COPY libraries /opt/libraries
COPY start /usr/bin/
RUN echo postgres:x:70:70::/:/bin/sh >> /etc/passwd \\
    && mkdir -p /var/lib/postgresql/data /var/run/postgresql \\
    && chown 70:70 /var/lib/postgresql/data /var/run/postgresql && chmod 700 /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin LD_LIBRARY_PATH=/opt/libraries \\
    PGDATA=/var/lib/postgresql/data
USER 70:70
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/bin/start"]
"""


def build(tag: str) -> None:
    """Build `tag`. Raises `GroundError` where PostgreSQL is not to be had."""
    programs = postgres.programs()
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        (context / "postgresql/15/bin").mkdir(parents=True)
        for name in _PROGRAMS:
            shutil.copy(programs / name, context / "postgresql/15/bin")
        shutil.copytree(
            programs.parent / "lib", context / "postgresql/15/lib", ignore=shutil.ignore_patterns("bitcode")
        )
        shutil.copytree(unpacked("postgres") / "usr/share/postgresql", context / "share")
        linked.copy_libraries((programs / name for name in _PROGRAMS), context / "libraries", postgres.environment())
        (context / "start").write_text(_START, encoding="utf-8")
        (context / "start").chmod(0o755)
        (context / "Dockerfile").write_text(_DOCKERFILE.format(base=base.ensure()), encoding="utf-8")
        docker("build", "-q", "-t", tag, str(context), timeout_s=180)
