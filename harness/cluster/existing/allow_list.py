"""The contexts that harness may use although it did not make their clusters: each with its server's address."""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import CauseCode, HarnessError

VARIABLE = "HARNESS_CONFIG_DIR"
FILE = "contexts.toml"


class Allowed(BaseModel):
    """An entry of the list."""

    model_config = ConfigDict(extra="forbid", strict=True)
    server: str


class _List(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    contexts: dict[str, Allowed] = {}


def path() -> Path:
    """The list: the user's own, for no repository may allow a cluster."""
    root = os.environ.get(VARIABLE)
    return (Path(root) if root else platformdirs.user_config_path("airflow-harness")) / FILE


def check(context: str, server: str) -> None:
    """Return when the list has this context with this server's address.

    Raises HarnessError: USAGE when it does not, CONFIG_INVALID for a list that can't be read.
    """
    allowed = _read().get(context)
    if allowed is None:
        raise HarnessError(
            CauseCode.USAGE,
            f"context {context!r} is no cluster of harness, and {path()} does not allow it",
            evidence=[f"its server, by your kubeconfig: {server}"],
            hint=_adding(context, server),
        )
    if allowed.server.rstrip("/") != server:
        raise HarnessError(
            CauseCode.USAGE,
            f"context {context!r} leads to another server than {path()} allows",
            evidence=[f"allowed: {allowed.server}", f"by your kubeconfig: {server}"],
            hint=f"kubectl config view; then, if the new one is right: ${{EDITOR:-vi}} {shlex.quote(str(path()))}",
        )


def _adding(context: str, server: str) -> str:
    """The command that adds an entry: TOML's quoted keys and texts are those of JSON."""
    key, address = (json.dumps(text, ensure_ascii=False) for text in (context, server))
    lines = [f"[contexts.{key}]", f"server = {address}"]
    words = " ".join(shlex.quote(line) for line in lines)
    folder, file = shlex.quote(str(path().parent)), shlex.quote(str(path()))
    return f"mkdir -p {folder} && printf '%s\\n' {words} >>{file}"


def parse(text: str) -> Mapping[str, Allowed]:
    """The entries of a list, by context. Raises ValueError for what is none."""
    return _List.model_validate(tomllib.loads(text)).contexts


def _read() -> Mapping[str, Allowed]:
    try:
        return parse(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # ValidationError and TOMLDecodeError are ValueErrors
        reasons = (
            [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            if isinstance(error, ValidationError)
            else [str(error)]
        )
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            f"{path()} can't be read: {reasons[0]}",
            evidence=reasons[1:],
            hint=f"${{EDITOR:-vi}} {shlex.quote(str(path()))}",
        ) from error
