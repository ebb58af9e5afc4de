"""What hints propose, as it is to be typed: commands for the cluster that was meant, and TOML."""

from __future__ import annotations

import json
import os
import re
import shlex

VARIABLE = "HARNESS_CLUSTER"
DEFAULT_CLUSTER = "harness"
CONTEXT_MARK = "@"  # before the context of a cluster that isn't ours
COMMANDS = (
    "diff",
    "noise",
    "down",
    "gc",
    "logs",
    "repro",
    "status",
    "test",
    "ui",
    "up",
    "version",
)  # that take --name and --context
# Neither a path's end nor a longer word; up to the next command it must not name a cluster already.
_COMMAND = re.compile(
    rf"(?<![\w./-])harness (?:{'|'.join(COMMANDS)})(?![\w/-]|\.\w)(?![^;&|`\n]*--(?:name|context)\b)",
    re.ASCII,
)
# A command of kubectl's that goes to a cluster, and does not name one.
_KUBECTL = re.compile(r"(?<![\w./-])kubectl (?=[a-z])(?!config\b)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def option(cluster: str) -> str:
    """` --name CLUSTER` or ` --context CONTEXT`, or nothing where commands go to that cluster anyway."""
    usual = os.environ.get(VARIABLE) or DEFAULT_CLUSTER
    if cluster == usual:
        return ""
    if cluster.startswith(CONTEXT_MARK):
        return f" --context {shlex.quote(cluster.removeprefix(CONTEXT_MARK))}"
    return f" --name {shlex.quote(cluster)}"


def for_cluster(text: str, cluster: str) -> str:
    """`text` with each command of harness's or kubectl's in it going to the cluster; what is none stays as it is."""
    added, kubectl = option(cluster), _kubectl(cluster)
    text = _KUBECTL.sub(lambda _: f"{kubectl} ", text)
    return _COMMAND.sub(lambda found: found[0] + added, text) if added else text


def _kubectl(cluster: str) -> str:
    """kubectl for a cluster: by its context, or on the node of one of ours, which is in no kubeconfig of the user's."""
    if cluster.startswith(CONTEXT_MARK):
        return f"kubectl --context {shlex.quote(cluster.removeprefix(CONTEXT_MARK))}"
    return f"docker exec {shlex.quote(f'{cluster}-control-plane')} kubectl --kubeconfig /etc/kubernetes/admin.conf"


def toml_text(value: str) -> str:
    """A basic string of TOML: JSON's, but for the one control character that JSON lets be."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """A part of a key or of a table's name, in quotes where it needs some: `churn`, `"churn.v2"`."""
    return name if _BARE_KEY.fullmatch(name) else toml_text(name)
