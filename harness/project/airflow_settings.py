"""airflow_settings.yaml, as the Astro CLI has it: connections and Variables as environment variables, and pools."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.errors import CauseCode, HarnessError

# What a Secret's key may be, and therefore what can become a variable: Airflow itself asks in upper case.
_DOCUMENTS = frozenset({"conn_extra", "variable_value"})  # JSON in the end
_ID = re.compile(r"[A-Za-z0-9_.-]{1,200}")


@dataclass(frozen=True)
class Pool:
    """What tasks share among them: `slots` of them run at once."""

    name: str
    slots: int
    description: str = ""


@dataclass(frozen=True)
class AirflowSettings:
    """`environment`: connections and Variables in Airflow's own spelling of environment variables."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    pools: tuple[Pool, ...] = ()


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Connection(_Entry):
    conn_id: str | None = None
    conn_type: str | None = None
    conn_uri: str | None = Field(default=None, repr=False)
    conn_host: str | None = None
    conn_schema: str | None = None
    conn_login: str | None = None
    conn_password: str | None = Field(default=None, repr=False)
    conn_port: str | None = None
    conn_extra: dict[str, Any] | str | None = Field(default=None, repr=False)


class _Pool(_Entry):
    pool_name: str | None = None
    pool_slot: int | None = Field(default=None, ge=-1)
    pool_description: str | None = None


class _Variable(_Entry):
    variable_name: str | None = None
    variable_value: Any = Field(default=None, repr=False)


class _Airflow(_Entry):
    connections: tuple[_Connection, ...] = ()
    pools: tuple[_Pool, ...] = ()
    variables: tuple[_Variable, ...] = ()

    @field_validator("connections", "pools", "variables", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return () if value is None else value


class _File(_Entry):
    airflow: _Airflow | None = None


def parse(text: str, *, origin: str) -> AirflowSettings:
    """What the file's text holds; entries without a name, as its template has them, are passed over.

    Raises HarnessError(CONFIG_INVALID), which shows no value of the file.
    """
    import yaml

    try:
        # A password 0123 is that text and no number: what is no table or list counts as it is written.
        written = yaml.load(text, yaml.BaseLoader)  # noqa: S506  which makes nothing but texts
        file = _File.model_validate(_as_written(yaml.safe_load(text) or {}, written or {}))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise _invalid(origin, f"it is no valid YAML{place}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise _invalid(origin, f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError, TypeError, AttributeError, OverflowError):  # of yaml, for 2026-02-30
        problem = (
            "it is no valid YAML: what looks like a date or a number, and is none, has to stand in quotes"
        )
        raise _invalid(origin, problem) from None
    airflow = file.airflow or _Airflow()
    environment: dict[str, str] = {}
    for name, value in (*_connections(airflow, origin), *_variables(airflow, origin)):
        if name in environment:
            raise _invalid(origin, f"{name} is there twice: Airflow takes no note of upper and lower case")
        environment[name] = value
    return AirflowSettings(environment, tuple(_pools(airflow, origin)))


def _connections(airflow: _Airflow, origin: str) -> Iterator[tuple[str, str]]:
    for each in airflow.connections:
        if not each.conn_id:
            continue
        name = f"AIRFLOW_CONN_{_checked(each.conn_id, 'connection', origin).upper()}"
        if each.conn_uri:
            yield name, each.conn_uri
            continue
        extra = each.conn_extra
        fields = {
            "conn_type": each.conn_type,
            "host": each.conn_host,
            "schema": each.conn_schema,
            "login": each.conn_login,
            "password": each.conn_password,
            "port": int(port) if (port := each.conn_port or "").isdecimal() else None,
            "extra": json.dumps(extra) if isinstance(extra, dict) else extra,
        }
        yield name, json.dumps({key: value for key, value in fields.items() if value not in (None, "", "{}")})


def _variables(airflow: _Airflow, origin: str) -> Iterator[tuple[str, str]]:
    for each in airflow.variables:
        if each.variable_name:
            name = f"AIRFLOW_VAR_{_checked(each.variable_name, 'Variable', origin).upper()}"
            value = each.variable_value
            yield (
                name,
                value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str),
            )


def _pools(airflow: _Airflow, origin: str) -> Iterator[Pool]:
    for each in airflow.pools:
        if each.pool_name:
            if each.pool_slot is None:
                raise _invalid(origin, f"pool {each.pool_name!r} has no pool_slot")
            yield Pool(each.pool_name, each.pool_slot, each.pool_description or "")


def _as_written(value: object, written: object, *, inside: bool = False) -> object:
    """`value` with the text of each number, date and truth value, but inside of an entry's own documents."""
    if isinstance(value, dict) and isinstance(written, dict):
        by_text = {str(key): entry for key, entry in written.items()}
        return {
            key: _as_written(
                entry, by_text.get(str(key)), inside=inside or (key in _DOCUMENTS and not _plain(entry))
            )
            for key, entry in value.items()
        }
    if isinstance(value, list) and isinstance(written, list) and len(value) == len(written):
        return [_as_written(*pair, inside=inside) for pair in zip(value, written, strict=True)]
    return written if _plain(value) and isinstance(written, str) and not inside else value


def _plain(value: object) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _checked(name: str, what: str, origin: str) -> str:
    if not _ID.fullmatch(name):
        raise _invalid(
            origin,
            f"the {what} {name!r} can't be an environment variable: use letters, digits, '_', '-' and '.'",
        )
    return name


def _invalid(origin: str, problem: str) -> HarnessError:
    return HarnessError(CauseCode.CONFIG_INVALID, f"{origin}: {problem}", hint=f"edit {origin}")
