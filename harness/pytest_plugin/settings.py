"""What the session was told, by an option or else in the ini file."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import pytest

from harness.hints import DEFAULT_CLUSTER, VARIABLE
from harness.pytest_plugin.session import note

if TYPE_CHECKING:
    from harness.engine.testing.plan import Request

Keep = Literal["never", "on-failure", "always"]
INTERRUPTED = pytest.StashKey[threading.Event]()  # set when the session was, by Ctrl-C
KEEPS = ("never", "on-failure", "always")


def setting(config: pytest.Config, name: str) -> str:
    """The value of `--harness-NAME`, else of the ini option; empty where neither is given."""
    return str(config.getoption(f"--harness-{name}") or config.getini(f"harness_{name}") or "")


def cluster_name(config: pytest.Config) -> str:
    """Which cluster is meant."""
    import os

    return setting(config, "cluster") or os.environ.get(VARIABLE) or DEFAULT_CLUSTER


def keep(config: pytest.Config) -> Keep:
    """Whether versions stay. Raises pytest.UsageError for a word that is none of the three."""
    found = setting(config, "keep") or "never"
    if found not in KEEPS:
        raise pytest.UsageError(f"--harness-keep takes {', '.join(KEEPS)}, not {found!r}")
    return cast("Keep", found)


def request_of(config: pytest.Config, names: tuple[str, ...] = (), base: str | None = None) -> Request:
    """What the engine is asked for."""
    from harness.engine.testing.plan import Request

    ref = setting(config, "ref")
    return Request(
        names=names,
        refs=(ref,) if ref else (),
        keep=keep(config),
        cluster=cluster_name(config),
        base=base,
        on_namespace=partial(note, config),
        stand_by=False,
    )
