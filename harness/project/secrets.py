"""What [secrets] names, read on the asking side: from its environment and its files, never from a tested commit."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.project import airflow_settings
from harness.project.airflow_settings import AirflowSettings, Pool
from harness.project.project import Project
from harness.project.values import is_set_by_harness

VALUE_LIMIT_BYTES = 120_000  # of one variable, with its name: the kernel takes 128 KiB
ALL_LIMIT_BYTES = 900_000  # Kubernetes takes a Secret of 1 MiB
_OF_AIRFLOW = "AIRFLOW__"


@dataclass(frozen=True)
class Secrets:
    """Environment variables of a version's code, connections and Variables among them, and Airflow's pools.

    `passed_over`: what stood in the file of variables and is none of the code's.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    pools: tuple[Pool, ...] = ()
    passed_over: tuple[str, ...] = ()

    def fingerprint(self, key: bytes) -> str | None:
        """What tells these values from others to whoever has `key` (HMAC-SHA256), and nothing to anybody else.

        None where there are none.
        """
        if not self.environment:
            return None
        return hmac.new(
            key, json.dumps(sorted(self.environment.items())).encode(), hashlib.sha256
        ).hexdigest()


def read(project: Project, environ: Mapping[str, str] = os.environ) -> Secrets:
    """The values now, from all places that the working tree's configuration names; a later one of these counts
    before an earlier one: Airflow's settings, the file of variables, the environment.

    Raises HarnessError: SECRET_MISSING with everything that is not there; CONFIG_INVALID for a file that git
    tracks, or that can't be read as what it should be.
    """
    asked, root = project.configuration.secrets, project.repository.root
    missing: dict[str, str] = {}  # what there is not, and the command that helps
    settings, variables = AirflowSettings(), dict[str, str]()
    if asked.airflow_settings is not None:
        if (text := _text(root / asked.airflow_settings)) is None:
            missing[f"there is no file {asked.airflow_settings}"] = _make(root, asked.airflow_settings)
        else:
            settings = airflow_settings.parse(text, origin=str(root / asked.airflow_settings))
    if asked.env_file is not None:
        _refuse_tracked(project, asked.env_file)
        if (text := _text(root / asked.env_file)) is None:
            missing[f"there is no file {asked.env_file}"] = _make(root, asked.env_file)
        else:
            variables = _variables(text)
    passed_over = tuple(name for name in variables if is_set_by_harness(name) or name.startswith(_OF_AIRFLOW))
    found = {name: value for name, value in variables.items() if name not in passed_over}
    for name in asked.from_env:
        if value := environ.get(name):
            found[name] = value
        elif not found.get(name):
            missing[f"the environment variable {name} is not set"] = f"export {name}='…'"
    if missing:
        raise _missing(project.file, missing)
    environment = {**settings.environment, **found}
    _refuse_unusable(environment, project.file)
    return Secrets(environment, settings.pools, passed_over)


def _text(path: Path) -> str | None:
    """What the file holds; None when there is none. Raises HarnessError(CONFIG_INVALID) for what can't be read."""
    if not path.exists():
        return None
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise HarnessError(
            CauseCode.CONFIG_INVALID, f"{path} can't be read: {why}", hint=f"ls -l {shlex.quote(str(path))}"
        ) from None


def _variables(text: str) -> dict[str, str]:
    import io

    from dotenv import dotenv_values

    found = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in found.items() if value is not None}


def _refuse_tracked(project: Project, path: str) -> None:
    listed = project.repository.git.run("ls-files", "--error-unmatch", "-z", "--", path)
    if listed.returncode == 0:
        quoted = shlex.quote(path)
        message = f"{path} (`env_file`) is tracked by git: secrets in it are in the repository's history"
        hint = f"git rm --cached {quoted} && echo {quoted} >> .gitignore"
        raise HarnessError(CauseCode.CONFIG_INVALID, message, hint=hint)


def _make(root: Path, path: str) -> str:
    """A command that makes the file, from an example of it where the repository has one."""
    quoted = shlex.quote(path)
    for ending in (".example", ".sample", ".template", ".dist"):
        if (root / f"{path}{ending}").exists():
            return f"cp {quoted}{ending} {quoted}"
    return f'"$EDITOR" {quoted}'


def _missing(file: str, missing: Mapping[str, str]) -> HarnessError:
    first = next(iter(missing))
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    return HarnessError(
        CauseCode.SECRET_MISSING,
        f"{first}{more}: [secrets] in {file} names it",
        evidence=tuple(missing) if more else (),
        hint=" && ".join(missing.values()),
    )


def _refuse_unusable(environment: Mapping[str, str], file: str) -> None:
    """Raises HarnessError(CONFIG_INVALID) for what no environment variable, or no Secret, may hold."""
    problem = ""
    sizes = {}
    for name, value in environment.items():
        sizes[name] = len(name) + len(value.encode(errors="replace"))
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            problem = f"{name} holds what no environment variable may: a NUL, or bytes that are no UTF-8"
        elif sizes[name] > VALUE_LIMIT_BYTES:
            problem = f"{name} has {sizes[name]:,} bytes, and a variable takes {VALUE_LIMIT_BYTES:,}"
    if not problem and sum(sizes.values()) > ALL_LIMIT_BYTES:
        problem = (
            f"all secrets together have {sum(sizes.values()):,} bytes, and a Secret takes {ALL_LIMIT_BYTES:,}"
        )
    if problem:
        raise HarnessError(
            CauseCode.CONFIG_INVALID,
            problem,
            hint=f"hand over a path or an address instead, and edit [secrets] in {file}",
        )
