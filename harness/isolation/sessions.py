"""Sessions of psql in a script of the server's pod: as a version's own role, and as the server's owner."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from harness.cluster.services.database import Server

_SAFE = re.compile(r"[A-Za-z0-9_.+:=@-]{1,250}")
# A lane's answers go into a file of its own: what programs write into one pipe at once, errors above all, gets mixed.
BEGINNING = """\
PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
answers="$(mktemp -d)"
ask() { # role database statements
  role="$1" database="$2"; shift 2
  printf '%s\\n' "$@" | psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 \\
    ${role:+--host=/tmp "--username=$role"} --dbname="$database"
}
"""


def ask(server: Server, role: str, database: str, *lines: str) -> str:
    """The script's line that gives these lines to psql, in one session; without a role as the server's owner."""
    if server.given is None:
        return " ".join(["ask", safe(role or "postgres"), safe(database), *map(shlex.quote, lines)])
    first = [become(server, database, role)] if role else []
    return " ".join(["ask", "''", safe(database), *map(shlex.quote, [*first, *lines])])


def become(server: Server, database: str, role: str) -> str:
    """The line by which a session goes on as a role. Of a given server's roles nobody knows the passwords any more."""
    return f"\\c {safe(database)} {safe(role)} /tmp" if server.given is None else f"SET ROLE {safe(role)};"


def connecting(server: Server, database: str, role: str) -> Iterator[str]:
    """Try whether a role can connect to a database; on a given server PostgreSQL is asked whether it may.

    It comes last in a session: psql ends where it cannot connect.
    """
    if server.given is None:
        yield become(server, database, role)
        yield select("connect", database, "'reached'")
    else:
        may = f"has_database_privilege('{safe(role)}', current_database(), 'CONNECT')"
        yield f"SELECT 'connect|{safe(database)}|reached' WHERE {may};"


def select(question: str, database: str, what: str) -> str:
    """A statement that prints a line of `question|database|answer`."""
    return f"SELECT '{question}|{safe(database)}|' || {what};"


def safe(text: str) -> str:
    """The text itself, which goes into a script as it is; raises ValueError for one that would need quotes."""
    if not _SAFE.fullmatch(text):
        raise ValueError(f"{text!r} is no plain name")
    return text
