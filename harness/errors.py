"""Every way a command can fail: one enumeration of causes, each with its exit code."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class CauseCode(Enum):
    """A cause's name as it stands in reports, and the exit code that it fixes.

    1: the DAG or a gate failed. 2: usage or configuration. 3: a prerequisite is missing.
    4: the environment failed. 70: a bug of ours. 130: interrupted.
    """

    DAG_IMPORT_ERROR = ("dag_import_error", 1)
    TASK_FAILED = ("task_failed", 1)
    TASK_OUT_OF_MEMORY = ("task_out_of_memory", 1)
    TASK_STORAGE_LIMIT = ("task_storage_limit", 1)
    REQUEST_TOO_LARGE = ("request_too_large", 1)
    QUOTA_EXCEEDED = ("quota_exceeded", 1)
    RUN_TIMEOUT = ("run_timeout", 1)
    METRICS_MISSING = ("metrics_missing", 1)
    METRICS_INVALID = ("metrics_invalid", 1)
    GATE_FAILED = ("gate_failed", 1)

    USAGE = ("usage", 2)
    CONFIG_INVALID = ("config_invalid", 2)
    NOT_A_REPOSITORY = ("not_a_repository", 2)
    REF_NOT_FOUND = ("ref_not_found", 2)
    TEST_NOT_FOUND = ("test_not_found", 2)
    DAG_NOT_FOUND = ("dag_not_found", 2)
    CODE_NOT_FOUND = ("code_not_found", 2)
    CODE_INCOMPLETE = ("code_incomplete", 2)
    DOCKERFILE_FAILED = ("dockerfile_failed", 2)
    IMAGE_UNFIT = ("image_unfit", 2)
    DEPENDENCIES_UNRESOLVED = ("dependencies_unresolved", 2)
    DEPENDENCIES_INCOMPATIBLE = ("dependencies_incompatible", 2)

    DOCKER_MISSING = ("docker_missing", 3)
    DOCKER_PERMISSION = ("docker_permission", 3)
    TOOL_MISSING = ("tool_missing", 3)
    CLUSTER_MISSING = ("cluster_missing", 3)
    LOGIN_FAILED = ("login_failed", 3)
    PERMISSION_MISSING = ("permission_missing", 3)
    SECRET_MISSING = ("secret_missing", 3)
    SOURCE_UNREACHABLE = ("source_unreachable", 3)
    FOLDER_UNUSABLE = ("folder_unusable", 3)

    BUILD_FAILED = ("build_failed", 4)
    CHECKSUM_MISMATCH = ("checksum_mismatch", 4)
    CLUSTER_FAILED = ("cluster_failed", 4)
    CLUSTER_FULL = ("cluster_full", 4)
    DATABASE_FAILED = ("database_failed", 4)
    IMAGE_LOAD_FAILED = ("image_load_failed", 4)
    IMAGE_NOT_STARTABLE = ("image_not_startable", 4)
    DEPLOY_FAILED = ("deploy_failed", 4)
    DEPLOY_TIMEOUT = ("deploy_timeout", 4)
    API_SERVER_LOST = ("api_server_lost", 4)
    NODE_NOT_READY = ("node_not_ready", 4)
    POD_DELETED = ("pod_deleted", 4)
    POD_EVICTED = ("pod_evicted", 4)
    POD_NOT_STARTED = ("pod_not_started", 4)
    ISOLATION_FAILED = ("isolation_failed", 4)
    DISK_FULL = ("disk_full", 4)

    INTERNAL = ("internal", 70)
    INTERRUPTED = ("interrupted", 130)

    def __init__(self, code: str, exit_code: int) -> None:
        self.code = code
        self.exit_code = exit_code

    @classmethod
    def of(cls, code: str) -> CauseCode:
        """The member whose report name is `code`; raises ValueError for an unknown one."""
        for member in cls:
            if member.code == code:
                return member
        raise ValueError(f"unknown cause code {code!r}")


# Which exit code wins when several things went wrong in one command.
EXIT_PRECEDENCE = (70, 130, 2, 3, 4, 1)


def combined_exit_code(exit_codes: Iterable[int]) -> int:
    """The exit code of a command from those of its parts: 0 when all are 0."""
    seen = set(exit_codes)
    return next((code for code in EXIT_PRECEDENCE if code in seen), 0)


# After these nobody on the cluster can be asked for anything.
UNREACHABLE = frozenset(
    cause.code for cause in (CauseCode.API_SERVER_LOST, CauseCode.CLUSTER_FAILED, CauseCode.NODE_NOT_READY)
)


class HarnessError(Exception):
    """A failure with a cause that a user can act on.

    `message` is one line that says what failed and why; `evidence` what was seen, line by line;
    `hint` a command or an edit that helps.
    """

    def __init__(
        self,
        cause: CauseCode,
        message: str,
        *,
        hint: str = "",
        evidence: Iterable[str] = (),
        task_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.hint = hint
        self.evidence = tuple(evidence)
        self.task_id = task_id

    @property
    def exit_code(self) -> int:
        return self.cause.exit_code


def refusal(
    cause: CauseCode, what: str, said: str | Iterable[str], *, hint: str, hint_when_full: str = ""
) -> HarnessError:
    """The error for a program that did not do what it was asked to: `what` that was, and what the program `said`.

    Its last line is the reason. With `hint_when_full` it is DISK_FULL where there was no space left.
    """
    lines = [line for line in (said.splitlines() if isinstance(said, str) else said) if line.strip()]
    reason = lines[-1].strip() if lines else "no reason given"
    if hint_when_full and any("no space left" in line.lower() for line in lines):
        cause, hint = CauseCode.DISK_FULL, hint_when_full
    return HarnessError(cause, f"{what}: {reason}", evidence=lines[-10:], hint=hint)
