"""A PostgreSQL server that a cluster is given, by a URL that nobody else gets to see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.services import given_server
from harness.cluster.services.database import Credentials
from harness.cluster.services.given_server import GivenServer
from harness.errors import CauseCode, HarnessError

OPTIONS = "it has options besides sslmode, or a password with a ? that is not written %3F"
URL = "postgresql://har%40ness:pa%2Fss@db.example.com:5433/main?sslmode=require"


def test_a_url() -> None:
    login = given_server.read("DB", {"DB": f" {URL}\n"})
    assert login is not None
    assert login.server == GivenServer("db.example.com", 5433, "main", "require")
    assert (login.role, login.password) == ("har@ness", "pa/ss")
    assert login.variables()["PGPASSWORD"] == "pa/ss"
    assert "pa/ss" not in repr(login)


def test_what_a_short_one_leaves_out() -> None:
    login = given_server.read("DB", {"DB": "postgres://me:secret@10.0.0.7"})
    assert login is not None
    assert login.server == GivenServer("10.0.0.7", 5432, "postgres", "prefer")


def test_none() -> None:
    assert given_server.read("DB", {}) is None
    assert given_server.read("DB", {"DB": " "}) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://me:hush@db/x", "it does not begin with postgresql://"),
        ("hush", "it does not begin with postgresql://"),
        ("postgresql://me:hush@/x", "it names no host"),
        ("postgresql://me:hush@db:hush/x", "its host or port can't be read"),
        ("postgresql://me:hush@[db/x", "its host or port can't be read"),
        ("postgresql://db/x", "it holds no role, or no password"),
        ("postgresql://hush@db/x", "it holds no role, or no password"),
        ("postgresql://me:hush@db/a'b", "its database is no plain name"),
        ("postgresql://me:hush@db/x?sslmode=verify-full", "its sslmode is none of disable, allow, prefer, require"),
        ("postgresql://me:hush@db/x?options=-c", OPTIONS),
        ("postgresql://me:p@ss?hush@db/x", OPTIONS),
    ],
)  # fmt: skip
def test_a_bad_one_is_told_without_what_stands_in_it(url: str, why: str) -> None:
    with pytest.raises(HarnessError) as caught:
        given_server.read("DB", {"DB": url})
    assert caught.value.cause is CauseCode.CONFIG_INVALID
    assert caught.value.message == f"the environment variable DB holds no URL of a PostgreSQL server: {why}"
    assert "hush" not in f"{caught.value.message}{caught.value.hint}"


@given(
    st.builds(
        GivenServer,
        host=st.from_regex(r"[a-z][a-z0-9.-]{0,30}[a-z0-9]", fullmatch=True),
        port=st.integers(1, 65535),
        database=st.from_regex(r"[a-z0-9_][a-z0-9_-]{0,20}", fullmatch=True),
        ssl_mode=st.sampled_from(given_server.SSL_MODES),
    )
)
def test_the_cluster_remembers_it(server: GivenServer) -> None:
    assert GivenServer.parse(str(server)) == server


def test_versions_connect_to_it() -> None:
    server = GivenServer("db.example.com", 5433, "main", "require")
    url = Credentials("v_a", "v_a", "0f", server).url
    assert url == "postgresql+psycopg2://v_a:0f@db.example.com:5433/v_a?sslmode=require"
