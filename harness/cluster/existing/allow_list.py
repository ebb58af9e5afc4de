"""The contexts that harness may use although it did not make their clusters: each with its server's address."""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from harness.cluster.placement import Placement, Toleration
from harness.errors import CauseCode, HarnessError
from harness.image.registry.address import Registry

VARIABLE = "HARNESS_CONFIG_DIR"
FILE = "contexts.toml"
Name = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")]


class RegistrySettings(BaseModel):
    """The registry that images go through to clusters elsewhere."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: str
    ca: str = ""
    insecure: bool = False

    @model_validator(mode="after")
    def _is_one(self) -> RegistrySettings:
        self.registry(Path())
        return self

    def registry(self, folder: Path) -> Registry:
        """The registry; a relative `ca` lies in `folder`."""
        ca = folder / Path(self.ca).expanduser() if self.ca else None
        return Registry.parse(self.url, ca=ca, insecure=self.insecure)


class Tolerated(BaseModel):
    """A toleration, as it is written."""

    model_config = ConfigDict(extra="forbid")
    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815  as Kubernetes spells it


class Allowed(BaseModel):
    """An entry of the list: its server, a registry of its own, and what its cluster asks of pods and volumes."""

    model_config = ConfigDict(extra="forbid")
    server: str
    own_registry: RegistrySettings | None = Field(default=None, alias="registry")
    storage_class: Name = ""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    node_selector: dict[str, str] = {}
    tolerations: tuple[Tolerated, ...] = ()
    priority_class: Name = ""
    pull_secrets: tuple[Name, ...] = ()
    annotations: dict[str, str] = {}
    quota: dict[str, str] = {}
    namespaces: tuple[Name, ...] = ()
    database_url_env: Annotated[str, StringConstraints(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""

    @property
    def placement(self) -> Placement:
        """What the cluster asks."""
        return Placement(
            storage_class=self.storage_class,
            access_mode=self.access_mode,
            node_selector=self.node_selector,
            tolerations=tuple(Toleration(**each.model_dump()) for each in self.tolerations),
            priority_class=self.priority_class,
            pull_secrets=self.pull_secrets,
            annotations=self.annotations,
            quota=self.quota,
            namespaces=tuple(dict.fromkeys(self.namespaces)),
        )


class AllowList(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")
    contexts: dict[str, Allowed] = {}
    registry: RegistrySettings | None = None


class Entry(BaseModel):
    """What the list says of one context."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)
    placement: Placement
    registry: Registry | None
    has_own_registry: bool
    database_variable: str


def path() -> Path:
    """The list: the user's own, for no repository may allow a cluster."""
    root = os.environ.get(VARIABLE)
    return (Path(root) if root else platformdirs.user_config_path("airflow-harness")) / FILE


def check(context: str, server: str) -> Entry:
    """What the list says of this context, when it has it with this server's address.

    Raises HarnessError: USAGE when it does not, CONFIG_INVALID for a list that can't be read.
    """
    known = _read()
    allowed = known.contexts.get(context)
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
    settings = allowed.own_registry or known.registry
    return Entry(
        placement=allowed.placement,
        registry=settings.registry(path().parent) if settings else None,
        has_own_registry=allowed.own_registry is not None,
        database_variable=allowed.database_url_env,
    )


def _adding(context: str, server: str) -> str:
    """The command that adds an entry: TOML's quoted keys and texts are those of JSON."""
    key, address = (json.dumps(text, ensure_ascii=False) for text in (context, server))
    return _appending([f"[contexts.{key}]", f"server = {address}"])


def adding_registry() -> str:
    """The command that names a registry."""
    return _appending(["[registry]", 'url = "registry.example.com/ml"'])


def _appending(lines: list[str]) -> str:
    words = " ".join(shlex.quote(line) for line in lines)
    folder, file = shlex.quote(str(path().parent)), shlex.quote(str(path()))
    return f"mkdir -p {folder} && printf '%s\\n' {words} >>{file}"


def parse(text: str) -> AllowList:
    """A list. Raises ValueError for what is none."""
    return AllowList.model_validate(tomllib.loads(text))


def _read() -> AllowList:
    try:
        return parse(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return AllowList()
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
