"""What is kept holds no secret: neither a known one in any form, nor what looks like one."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.logs.redaction import Redactor, masked, secrets_of

CANARY = "c4n4ry/v4lue+x"


@pytest.mark.parametrize(
    "text",
    [
        f"connecting with {CANARY}.",
        f"postgresql://user:{quote(CANARY, safe='')}@host/db",
        base64.b64encode(CANARY.encode()).decode(),
        f'{{"event": "it is {CANARY}"}}',
    ],
    ids=["plain", "in a URL", "as Kubernetes keeps it", "in JSON"],
)
def test_a_known_secret_is_masked_in_every_form(text: str) -> None:
    kept = Redactor([CANARY])(text)
    assert "***" in kept
    for form in (CANARY, quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode()):
        assert form not in kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("password=hunter22", "password=***"),
        ('"aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG"', '"aws_secret_access_key": "***"'),
        ("API_KEY: 'abc123def456'", "API_KEY: '***'"),
        (r"{\"db_password\": \"hunter22\"}", r"{\"db_password\": \"***\"}"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key *** used"),
        ("git clone https://ghp_abcdefghijklmnopqrstuvwxyz0123@x", "git clone https://***@x"),
        ("eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiIwMSJ9.k3Ar-_9 expired", "*** expired"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, kept: str) -> None:
    assert Redactor()(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "could not connect with host=warehouse user=ml password=correct-horse dbname=features",
            "could not connect with host=warehouse user=ml password=*** dbname=features",
        ),
        ("password=1234 host=a", "password=*** host=a"),
        ("password=a,b;c host=a", "password=***;c host=a"),
        ("connect(user='ml', password='two words', port=5)", "connect(user='ml', password='***', port=5)"),
        ("DRIVER=x;UID=ml;PWD=s3;SERVER=y", "DRIVER=x;UID=ml;PWD=***;SERVER=y"),
        ("passwd = hunter2, retrying", "passwd = ***, retrying"),
        ("GET /v1?api_key=abc123def&page=2", "GET /v1?api_key=***&page=2"),
        ("AccountName=x;AccountKey=Zm9vYmFy;End", "AccountName=x;AccountKey=***;End"),
        ("aws_secret_access_key=wJalrXUtnFEMI", "aws_secret_access_key=***"),
        ("invalid token: abcd1234", "invalid token: ***"),
        ("postgresql://ml:p@ss@warehouse:5432/db", "postgresql://ml:***@warehouse:5432/db"),
        ("postgresql://ml:pa/ss@warehouse:5432/db", "postgresql://ml:***@warehouse:5432/db"),
        ("redis://:hunter@cache:6379/0", "redis://:***@cache:6379/0"),
        ("Authorization: Basic bWw6aHVudGVy", "Authorization: Basic ***"),
    ],
)
def test_what_is_told_of_a_failure_holds_no_secret(text: str, kept: str) -> None:
    assert masked(text) == kept
    assert masked(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "password= host=warehouse",
        "PWD=/opt/airflow",
        "password=None",
        "SyntaxError: unexpected token: identifier",
        "pad_token='<|padding|>', token_type_ids=None",
        "max_tokens=4096, token_length=512",
        "secret_name=warehouse-login, token_url=https://login",
        "no answer from http://registry:5000/models?owner=a@b.c",
        'secret "warehouse" not found',
        "the password for user ml is wrong",
        "2 validation errors: access_key Field required",
        "tokens: 1048576, epoch 3",
        "token = None",
        "secretName: airflow",
        "automountServiceAccountToken: false",
        "accuracy 0.97 is below its minimum 0.98",
        "task work failed at dags/a.py:3 in work: KeyError: 'password'",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor(["airfl", ""])(text) == text


@pytest.mark.parametrize(
    "said", ["it asks: password=", "password='a b'", 'pwd="a b"', "p://u:x@h password=1"]
)
def test_a_masked_line_of_json_stays_one(said: str) -> None:
    line = json.dumps({"event": said, "level": "error"})
    assert json.loads(masked(line))["level"] == "error"


def test_a_private_key_is_masked_over_all_its_lines() -> None:
    lines = ["before", "-----BEGIN RSA PRIVATE KEY-----", "MIIEow", "-----END RSA PRIVATE KEY-----", "after"]
    assert list(Redactor().lines(lines)) == ["before", "***", "***", "***", "after"]
    assert "MIIEow" not in Redactor()("\n".join(lines))


@given(secret=st.text(st.characters(codec="utf-8"), min_size=6), before=st.text(), after=st.text())
def test_no_known_secret_survives(secret: str, before: str, after: str) -> None:
    kept = Redactor([secret])(before + secret + after)
    assert (
        secret not in kept
        or secret in "***" * 3
        or set(secret) <= {"*"}
        or secret in before
        or secret in after
    )


def test_the_environments_secrets_by_their_names() -> None:
    environ = {"GITHUB_TOKEN": "t0ken-value", "PATH": "/usr/bin", "DB_PASS": "p4ss", "MONKEY": "banana"}
    assert secrets_of(environ) == {"t0ken-value", "p4ss"}
