"""The labels that say what is ours: whatever lacks them is never deleted."""

from __future__ import annotations

import getpass
import socket

PREFIX = "harness.local/"  # of all names below
CREATED_BY = "harness.local/created-by"
PROJECT = "harness.local/project"
COMMIT = "harness.local/commit"
ROLE = "harness.local/role"
REF = "harness.local/ref"  # annotations: no valid label values
STATE = "harness.local/state"  # annotation: starting, running, or the verdict
TAG = "harness.local/tag"
AUTHOR = "harness.local/author"
CREATED_AT = "harness.local/created-at"
RENEWED_AT = "harness.local/renewed-at"  # annotation of a claim
EXPIRES_AT = "harness.local/expires-at"  # annotation: until when a version lives, unless that is renewed

SELECTOR = f"{CREATED_BY}=harness"


def ours(**more: str) -> dict[str, str]:
    """The labels of something the harness makes; `project` and `commit` where they apply."""
    names = {"project": PROJECT, "commit": COMMIT, "role": ROLE}
    return {CREATED_BY: "harness"} | {names[key]: value for key, value in more.items() if value}


def author() -> str:
    """Who asks, for people to read: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
