"""`docker pull`, tried again, and told apart in what it fails of."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from harness.errors import CauseCode, HarnessError
from harness.host import process
from harness.host.sources import attempts, network_errors

# Docker says so of each layer that has come; it keeps it, and the next attempt goes on from there.
_CAME = re.compile(r": (Download|Pull) complete$")
_TRY_AGAIN = re.compile(
    r"timeout|timed out|reset by peer|unexpected EOF|toomanyrequests|too many requests|TLS handshake|broken pipe"
    r"|connection refused|temporary failure|i/o error|50[0234]\b|429\b",
    re.IGNORECASE,
)


_NO_LOGIN = re.compile(
    r"no basic auth credentials|unauthorized|authentication required|access denied|\bdenied: ", re.IGNORECASE
)


def pull(name: str, *, on_line: Callable[[str], None], log: Path) -> None:
    """Make Docker have an image.

    Raises HarnessError: SOURCE_UNREACHABLE when its registry can't be reached or has none, DISK_FULL, LOGIN_FAILED when
    the program that keeps Docker's logins can't be run.
    """
    failed = 0
    while True:
        came = 0

        def listen(line: str) -> None:
            nonlocal came
            came += bool(_CAME.search(line))
            on_line(line)

        try:
            process.stream(
                ["docker", "pull", name], on_line=listen, log=log, cause=CauseCode.SOURCE_UNREACHABLE
            )
            return
        except process.ProgramError as error:
            told = explained(name, error.evidence)
            failed = 0 if came else failed + 1
            last = error.evidence[-1] if error.evidence else ""
            passes = told.cause is CauseCode.SOURCE_UNREACHABLE and _TRY_AGAIN.search(last)
            if not passes or failed >= len(attempts.PAUSES_S):
                raise told from error
            on_line(f"{told.message}: again in {attempts.PAUSES_S[failed]:.0f} s")
            attempts.pause(attempts.PAUSES_S[failed])


def explained(name: str, lines: tuple[str, ...]) -> HarnessError:
    """What it means that `docker pull` ended with these lines."""
    text = "\n".join(lines)
    reason = lines[-1] if lines else "no reason given"
    message = f"Docker could not pull {name}: {reason}"
    evidence = lines[-3:]
    if "no space left" in text.lower():
        return HarnessError(
            CauseCode.DISK_FULL, message, hint="docker system df; docker builder prune", evidence=evidence
        )
    helper = re.search(r"docker-credential-[\w.-]+", text)
    if helper or "error getting credentials" in text:
        program = helper[0] if helper else "the program in question"
        return HarnessError(
            CauseCode.LOGIN_FAILED,
            message,
            hint=f"install {program}, which keeps Docker's logins, or take `credsStore` and `credHelpers` out of "
            "~/.docker/config.json",
            evidence=evidence,
        )
    more = "docker pull takes Docker's own proxy and mirror settings, not those of this shell"
    if re.search(r"toomanyrequests|429\b|rate limit", text, re.IGNORECASE):
        more = "docker login, for those who did may pull more often"
    elif _NO_LOGIN.search(text):
        host = name.partition("/")[0]
        where = f" {host}" if re.search(r"[.:]|^localhost$", host) and "/" in name else ""
        return HarnessError(
            CauseCode.SOURCE_UNREACHABLE,
            message,
            hint=f"docker login{where}; or is there no such image? docker pull {name}",
            evidence=evidence,
        )
    return HarnessError(
        CauseCode.SOURCE_UNREACHABLE, message, hint=network_errors.hint(more), evidence=evidence
    )
