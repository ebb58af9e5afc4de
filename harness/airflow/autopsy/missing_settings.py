"""What to do about a connection, a Variable, a login, an environment variable or a key of conf that is not there."""

from __future__ import annotations

import re

from harness.airflow.logs.redaction import is_secret
from harness.airflow.logs.task_log import Raised
from harness.airflow.logs.user_frames import users_frames
from harness.hints import toml_key
from harness.project.places import CodeFiles
from harness.project.values import is_set_by_harness

_NO_CONNECTION = re.compile(
    r"conn(?:ection)?(?:_id)?[^`'\"]{0,20}[`'\"](?P<name>[^`'\"]+)[`'\"] (?:isn't|(?:is )?not) (?:found|defined)"
)
_NO_VARIABLE = re.compile(r"\bVariable (?P<name>[\w.-]+) (?:not found|does not exist)")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = r"['\"`]?(?P<name>[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])['\"`]?"
_NO_ENVIRONMENT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?i:environment variables?|env(?:ironment)? vars?)\W{{1,3}}{_WORD}",
        rf"{_WORD} (?i:environment variable|env(?:ironment)? var)\b",
        rf"{_WORD} (?:is |was |must be |has to be )?(?i:not set|unset|not configured|set)\b",
        rf"(?i:\bset|\bdefine|\bexport):? (?:the )?{_WORD}",
        rf"(?i:\bmissing|\bno) {_WORD} (?i:in|from) (?:the |your )?(?i:env)",
    )
)
# What the clients of clouds and services say without a login, and the variables that they take it from.
_LOGINS = (
    (re.compile("You must specify a region"), ("AWS_DEFAULT_REGION",)),
    (
        re.compile("Unable to locate credentials|Partial credentials found"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ),
    (
        re.compile(
            "DefaultAzureCredential failed to retrieve a token|EnvironmentCredential authentication unavailable"
        ),
        ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
    ),
    (re.compile("[Dd]efault credentials were not found"), ("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT",)),
    (re.compile(r"kaggle\.json"), ("KAGGLE_USERNAME", "KAGGLE_KEY")),
    (re.compile(r"wandb\.login|wandb login"), ("WANDB_API_KEY",)),
    (re.compile("huggingface-cli login|hf auth login|access to it at https://huggingface"), ("HF_TOKEN",)),
)
_KEY = re.compile(r"\A['\"](?P<name>[^'\"]{1,100})['\"]\Z")  # all that a KeyError says
_UPPER_CASE = re.compile(r"\A'(?P<name>[A-Z][A-Z0-9_]+)'\Z")  # the same, of a variable


def missing_setting(kind: str, message: str) -> str:
    """What helps against such an exception, of its kind and message; empty for others."""
    if match := _NO_CONNECTION.search(message):
        name = f"AIRFLOW_CONN_{match['name'].upper()}"
        return f"a version has no connections but those that it is given: {_give(name)}"
    if match := _NO_VARIABLE.search(message):
        name = f"AIRFLOW_VAR_{match['name'].upper()}"
        return f"a version has no Variables but those that it is given: {_give(name)}"
    for pattern, names in _LOGINS:
        if pattern.search(message):
            return f"a version has no logins but those that it is given: {_give(*names)}"
    for pattern in (*_NO_ENVIRONMENT, *((_UPPER_CASE,) if kind == "KeyError" else ())):
        if (match := pattern.search(message)) and not is_set_by_harness(match["name"]):
            return f"if it is an environment variable, {_give(match['name'])}"
    return ""


def missing_conf(raised: Raised, code: CodeFiles) -> str:
    """What helps against a KeyError, where the user's own line reads that key of conf or params; else empty."""
    found = _KEY.match(raised.message) if raised.kind == "KeyError" else None
    ours = users_frames(raised, code.root)
    if found is None or not ours:
        return ""
    lines = (code.read(ours[0].file) or "").splitlines()
    line = lines[ours[0].line - 1] if 0 < ours[0].line <= len(lines) else ""
    name = found["name"]
    if not re.search(rf"(?:conf|params)\w*[^;=\[]{{0,16}}\[\s*['\"]{re.escape(name)}['\"]\s*\]", line):
        return ""
    line = f"conf = {{ {toml_key(name)} = … }}"
    return f"a run has the DAG's params, and what its test gives: add `{line}` under the test in harness.toml"


def _give(*names: str) -> str:
    """The line to add, and where it belongs."""
    if not all(map(_PLAIN.fullmatch, names)):
        return (
            'write it into airflow_settings.yaml, and add `airflow_settings = "airflow_settings.yaml"` below [secrets] '
            "in harness.toml"
        )
    listed = '", "'.join(names)
    exported = " ".join(f"{name}='…'" for name in names)
    given = f'add `from_env = ["{listed}"]` below [secrets] in harness.toml, then export {exported}'
    if any(map(is_secret, names)):  # [image.env] is part of the repository and of the image
        return given
    return f'{given}; if it is no secret, {names[0]} = "…" below [image.env]'
