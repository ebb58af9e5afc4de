"""Databases on the shared PostgreSQL server: migrated templates, and one with its own role for each version."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cluster.services.given_server import GivenServer
from harness.cluster.services.services import NAMESPACE
from harness.errors import CauseCode, HarnessError
from harness.host import background, process

HOST, PORT = f"postgres.{NAMESPACE}.svc", 5432
DEADLINE_S = 120.0
AWAY_S = 60.0  # until the server, or its pod, is back: after a restart of the node Kubernetes calls it ready at first
LOOK_EVERY_S = 0.5
OWN_DATABASE = "harness"  # with what the cluster itself keeps
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
_OWNER = re.compile(r"[a-zA-Z0-9-]{1,64}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_IN_ITS_POD = ("--host=/tmp", "--username=postgres")
_PSQL = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")


class TemplateMissingError(HarnessError):
    """A database was to be made from a template that is not there (yet)."""


@dataclass(frozen=True)
class Credentials:
    """How to connect to a database as its own role."""

    database: str
    role: str
    password: str = field(repr=False)
    given: GivenServer | None = None

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        who, server = f"{self.role}:{self.password}", self.given
        if server is None:
            return f"postgresql+psycopg2://{who}@{HOST}:{PORT}/{self.database}"
        place = f"{server.host}:{server.port}/{self.database}?sslmode={server.ssl_mode}"
        return f"postgresql+psycopg2://{who}@{place}"


@dataclass(frozen=True)
class Server:
    """The PostgreSQL server of a cluster, spoken to by psql in its own pod, or in one with the `given` one's login.

    The role of a given server may make databases and roles, and is no superuser: of each role that it makes it becomes
    a member, as whoever removes what that owns must be.
    """

    kubectl: Path
    kubeconfig: Path
    given: GivenServer | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """What psql is told of where the server is; the pod's environment tells of a given one."""
        return _IN_ITS_POD if self.given is None else ()

    @property
    def maintenance(self) -> str:
        """The database that is connected to when no other is meant."""
        return "postgres" if self.given is None else self.given.database

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
            GRANT {OWNER} TO CURRENT_USER;
            SELECT 'ALTER DATABASE {name} IS_TEMPLATE false' WHERE EXISTS
              (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
            DROP DATABASE IF EXISTS {name} WITH (FORCE);
            DROP ROLE IF EXISTS {name};
            CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {OWNER};
            GRANT {name} TO CURRENT_USER;
            ALTER ROLE {name} SET role = '{OWNER}';
            CREATE DATABASE {name};
            REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;
            GRANT CONNECT ON DATABASE {name} TO {name};
            \\c {name}
            GRANT ALL ON SCHEMA public TO {OWNER};
            """
        )
        return Credentials(name, name, password, self.given)

    def finish_template(self, template: str) -> None:
        """Declare a migrated database a template: from now on it is only copied."""
        name = _name(template)
        self.query(
            f"""
            \\c {name}
            VACUUM (FREEZE, ANALYZE);
            \\c {self.maintenance}
            REVOKE CONNECT ON DATABASE {name} FROM {name};
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';
            DROP ROLE {name};
            ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false;
            """
        )

    def dump(self, template: str) -> str:
        """What a migrated database holds, as SQL that `restore` takes; before it is declared a template."""
        return self._run(["pg_dump", "--no-owner", "--no-privileges", *self.options, _name(template)])

    def restore(self, template: str, dump: str) -> None:
        """Fill an empty database that `begin_template` made. Raises HarnessError(DATABASE_FAILED)."""
        text = f"SET ROLE {OWNER};\n{dump}"
        self._run([*_PSQL, *self.options, "--single-transaction", f"--dbname={_name(template)}"], text)

    def create(self, database: str, template: str) -> Credentials:
        """A copy of a template that only a new role of the same name may connect to.

        Raises TemplateMissingError, having made nothing, when there is no such template.
        """
        name, password = _name(database), secrets.token_hex(24)
        self.query(
            f"""
            CREATE DATABASE {name} TEMPLATE {_name(template)};
            CREATE ROLE {name} LOGIN PASSWORD '{password}' NOINHERIT;
            GRANT {name} TO CURRENT_USER;
            ALTER DATABASE {name} OWNER TO {name};
            REVOKE ALL ON DATABASE {name} FROM PUBLIC;
            \\c {name}
            REASSIGN OWNED BY {OWNER} TO {name};
            """
        )
        return Credentials(name, name, password, self.given)

    def drop(self, database: str) -> None:
        """Remove a version's database and role, connected to or not; nothing happens when there is none."""
        name = _name(database)
        self.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);\nDROP ROLE IF EXISTS {name};\n")

    def claim(self, owner: str) -> None:
        """Note on a given server that it is the cluster's, `owner`, in the comment on the database of its own.

        Raises HarnessError(USAGE) when it is another cluster's, or the database somebody else's: of two that used one
        server, each would remove what the other has.
        """
        said = self._claimed()
        if said == _mark(owner):
            return
        if said:
            raise HarnessError(
                CauseCode.USAGE,
                f"PostgreSQL at {self.given} is in use already: its database {OWN_DATABASE!r} is not this cluster's",
                evidence=[f"it is marked as that of: {said.removeprefix(_mark(''))}"],
                hint=f"give each cluster a server of its own; or, where that cluster is gone, by psql there: "
                f"DROP DATABASE {OWN_DATABASE}",
            )
        self.query(
            f"CREATE DATABASE {OWN_DATABASE};\n"
            f"REVOKE ALL ON DATABASE {OWN_DATABASE} FROM PUBLIC;\n"
            f"COMMENT ON DATABASE {OWN_DATABASE} IS '{_mark(owner)}';\n"
        )

    def clear(self, owner: str) -> None:
        """Remove from a given server all that was made there: templates, versions' databases and roles, our own.

        A version's role has its database's name; others' roles and databases are none of these. Nothing is done on a
        server that this cluster did not claim.
        """
        if self._claimed() != _mark(owner):
            return
        ours = f"pg_has_role(oid, 'MEMBER') AND rolname ~ '^({OWNER}|template_[0-9a-f]+|v_[a-z0-9_]+)$'"
        owned = "pg_has_role(datdba, 'MEMBER') AND datname ~ '^(template_[0-9a-f]+)$'"
        self.query(
            f"""
            SELECT format('ALTER DATABASE %I IS_TEMPLATE false', datname) FROM pg_database WHERE {owned} \\gexec
            SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', datname) FROM pg_database
              WHERE ({owned}) OR datname IN (SELECT rolname FROM pg_roles WHERE {ours}) \\gexec
            DROP DATABASE IF EXISTS {OWN_DATABASE} WITH (FORCE);
            SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE {ours} ORDER BY rolname = '{OWNER}' \\gexec
            """
        )

    def _claimed(self) -> str:
        """The comment on the database of ours, `nobody` when it has none; empty when there is no such database."""
        told = "coalesce(shobj_description(oid, 'pg_database'), 'nobody')"
        return self.query(f"SELECT {told} FROM pg_database WHERE datname = '{OWN_DATABASE}';").strip()

    def query(self, sql: str, database: str | None = None) -> str:
        """What psql prints. The statements go by standard input, since some hold passwords.

        Raises HarnessError(DATABASE_FAILED) with the server's reason.
        """
        text = "\n".join(line.strip() for line in sql.splitlines()) + "\n"
        return self._run([*_PSQL, *self.options, f"--dbname={database or self.maintenance}"], text)

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


def _mark(owner: str) -> str:
    """The comment on the database of ours."""
    if owner and not _OWNER.fullmatch(owner):
        raise ValueError(f"{owner!r} is no plain name")
    return f"harness, cluster {owner}"


def _name(name: str) -> str:
    """The name itself, which goes into SQL as it is; raises ValueError for one that would need quotes."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain SQL name")
    return name
