"""Databases on the shared PostgreSQL server: migrated templates, and one with its own role for each version."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.services.services import NAMESPACE
from harness.errors import CauseCode, HarnessError
from harness.host import background, process

HOST = f"postgres.{NAMESPACE}.svc"
DEADLINE_S = 120.0
AWAY_S = 60.0  # until the server, or its pod, is back: after a restart of the node Kubernetes calls it ready at first
LOOK_EVERY_S = 0.5
OWNER = "harness_template"  # owns what migrations make, until a copy gets an owner of its own
# Nothing was done yet: neither psql nor the shell around it came to the server. A server that has no such database or
# role is there.
_AWAY = re.compile(
    r"connection to server .* failed(?!: FATAL: +(?:database|role) \")"
    r"|unable to upgrade connection|error dialing backend|container not found"
    r"|cannot exec into a container in a completed pod|does not have any running",
    re.IGNORECASE,
)
_KUBECTL_ENDS = "command terminated with exit code"  # its own last line, after what psql said
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SERVER = ("--host=/tmp", "--username=postgres")
_PSQL = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")


class TemplateMissingError(HarnessError):
    """A database was to be made from a template that is not there (yet)."""


@dataclass(frozen=True)
class Credentials:
    """How to connect to a database as its own role."""

    database: str
    role: str
    password: str

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg2://{self.role}:{self.password}@{HOST}:5432/{self.database}"


@dataclass(frozen=True)
class Server:
    """The PostgreSQL server of a cluster, spoken to by psql in its own pod."""

    kubectl: Path
    kubeconfig: Path

    def template_exists(self, template: str) -> bool:
        """Whether the template is there and whole."""
        found = self.query(
            f"SELECT 1 FROM pg_database WHERE datname = '{_name(template)}' AND datistemplate;"
        )
        return found.strip() == "1"

    def begin_template(self, template: str) -> Credentials:
        """An empty database to be migrated, and a role that may do so; what an earlier attempt left is dropped."""
        name, password = _name(template), secrets.token_hex(24)
        self.query(
            f"""
            SELECT 'CREATE ROLE {OWNER} NOLOGIN' WHERE NOT EXISTS
              (SELECT FROM pg_roles WHERE rolname = '{OWNER}') \\gexec
            SELECT 'ALTER DATABASE {name} IS_TEMPLATE false' WHERE EXISTS
              (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
            DROP DATABASE IF EXISTS {name} WITH (FORCE);
            DROP ROLE IF EXISTS {name};
            CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {OWNER};
            ALTER ROLE {name} SET role = '{OWNER}';
            CREATE DATABASE {name};
            REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;
            GRANT CONNECT ON DATABASE {name} TO {name};
            \\c {name}
            GRANT ALL ON SCHEMA public TO {OWNER};
            """
        )
        return Credentials(name, name, password)

    def finish_template(self, template: str) -> None:
        """Declare a migrated database a template: from now on it is only copied."""
        name = _name(template)
        self.query(
            f"""
            \\c {name}
            VACUUM (FREEZE, ANALYZE);
            \\c postgres
            REVOKE CONNECT ON DATABASE {name} FROM {name};
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';
            DROP ROLE {name};
            ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false;
            """
        )

    def dump(self, template: str) -> str:
        """What a migrated database holds, as SQL that `restore` takes; before it is declared a template."""
        return self._run(["pg_dump", "--no-owner", "--no-privileges", *_SERVER, _name(template)])

    def restore(self, template: str, dump: str) -> None:
        """Fill an empty database that `begin_template` made. Raises HarnessError(DATABASE_FAILED)."""
        text = f"SET ROLE {OWNER};\n{dump}"
        self._run([*_PSQL, *_SERVER, "--single-transaction", f"--dbname={_name(template)}"], text)

    def create(self, database: str, template: str) -> Credentials:
        """A copy of a template that only a new role of the same name may connect to.

        Raises TemplateMissingError, having made nothing, when there is no such template.
        """
        name, password = _name(database), secrets.token_hex(24)
        self.query(
            f"""
            CREATE DATABASE {name} TEMPLATE {_name(template)};
            CREATE ROLE {name} LOGIN PASSWORD '{password}' NOINHERIT;
            ALTER DATABASE {name} OWNER TO {name};
            REVOKE ALL ON DATABASE {name} FROM PUBLIC;
            \\c {name}
            REASSIGN OWNED BY {OWNER} TO {name};
            """
        )
        return Credentials(name, name, password)

    def drop(self, database: str) -> None:
        """Remove a version's database and role, connected to or not; nothing happens when there is none."""
        name = _name(database)
        self.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);\nDROP ROLE IF EXISTS {name};\n")

    def databases(self) -> tuple[str, ...]:
        """All databases but the server's own."""
        listed = self.query("SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template[01])$';")
        return tuple(listed.split())

    def query(self, sql: str, database: str = "postgres") -> str:
        """What psql prints. The statements go by standard input, since some hold passwords.

        Raises HarnessError(DATABASE_FAILED) with the server's reason.
        """
        text = "\n".join(line.strip() for line in sql.splitlines()) + "\n"
        return self._run([*_PSQL, *_SERVER, f"--dbname={database}"], text)

    def _run(self, argv: Sequence[str], text: str = "") -> str:
        """What a program of PostgreSQL's prints, run beside the server."""
        inside = [
            str(self.kubectl), "--kubeconfig", str(self.kubeconfig), "exec", "--stdin", "--namespace", NAMESPACE,
            "deployment/postgres", "--", "sh", "-c",
            'PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)" exec "$@"', "sh", *argv,
        ]  # fmt: skip
        until = time.monotonic() + AWAY_S
        while True:
            done = process.run(inside, input_text=text, check=False, timeout_s=DEADLINE_S)
            if done.returncode == 0 or not _AWAY.search(done.stderr) or time.monotonic() > until:
                break
            background.check()
            time.sleep(LOOK_EVERY_S)
        if done.timed_out:
            raise HarnessError(
                CauseCode.DATABASE_FAILED,
                f"PostgreSQL on the cluster did not do within {DEADLINE_S:.0f} s what it was asked to",
                hint="harness status",
            )
        if done.returncode != 0:
            lines = [
                line
                for line in done.stderr.splitlines()
                if line.strip() and "PASSWORD" not in line and not line.startswith(_KUBECTL_ENDS)
            ]
            kind = TemplateMissingError if "template database" in done.stderr else HarnessError
            reason = lines[-1].strip() if lines else "no reason given"
            message = f"PostgreSQL on the cluster refused: {reason}"
            raise kind(CauseCode.DATABASE_FAILED, message, evidence=lines[-5:], hint="harness up")
        return done.stdout


def _name(name: str) -> str:
    """The name itself, which goes into SQL as it is; raises ValueError for one that would need quotes."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain SQL name")
    return name
