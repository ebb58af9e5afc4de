"""`harness comment`: a result as the one comment of a pull request that is written anew each time.

Three endpoints of GitHub's REST API: list, create and update an issue's comments
(https://docs.github.com/rest/issues/comments).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import CauseCode, HarnessError
from harness.host.sources import download

if TYPE_CHECKING:
    import httpx2

MOST_CHARS = 65_536  # of a comment's body
PAGE = 100


@dataclass(frozen=True)
class PullRequest:
    """Where the comment goes. The token is in no message."""

    api: str
    repository: str
    number: int
    token: str = field(repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str], number: int | None = None) -> PullRequest:
        """The one that the job in GitHub Actions runs for, or `number` of its repository.

        Raises HarnessError(USAGE) for what is missing.
        """
        found = {name: environ.get(name, "") for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN")}
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise HarnessError(
                CauseCode.USAGE,
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: GitHub can't be asked",
                hint="env: GITHUB_TOKEN: ${{ github.token }}, in a job with permissions: pull-requests: write",
            )
        number = number or _number(environ)
        if number is None:
            raise HarnessError(
                CauseCode.USAGE,
                "this job runs for no pull request",
                hint="harness comment RESULT --pull-request 12",
            )
        api = environ.get("GITHUB_API_URL") or "https://api.github.com"
        return cls(api.rstrip("/"), found["GITHUB_REPOSITORY"], number, found["GITHUB_TOKEN"])


def comment(body: Callable[[int], str], title: str, to: PullRequest) -> str:
    """Write the comment that is marked with `title`, or make it; returns its address.

    `body` gives the text for a limit of characters. Raises HarnessError(SOURCE_UNREACHABLE, USAGE).
    """
    mark = f"<!-- harness: {title.replace('--', '- -')} -->"
    text = f"{mark}\n{body(MOST_CHARS - len(mark) - 1)}"
    with download.client() as http:
        for entry in _comments(http, to):
            if str(entry.get("body") or "").startswith(mark):
                return _address(_asked(http, to, "PATCH", f"issues/comments/{entry['id']}", {"body": text}))
        return _address(_asked(http, to, "POST", f"issues/{to.number}/comments", {"body": text}))


def _number(environ: Mapping[str, str]) -> int | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return int(event["pull_request"]["number"])
    return None


def _comments(http: httpx2.Client, to: PullRequest) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        path = f"issues/{to.number}/comments?per_page={PAGE}&page={page}"
        entries = _asked(http, to, "GET", path)
        found = entries if isinstance(entries, list) else []
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def _asked(
    http: httpx2.Client, to: PullRequest, method: str, path: str, body: dict[str, str] | None = None
) -> Any:  # noqa: ANN401  what JSON holds
    import httpx2

    headers = {"Authorization": f"Bearer {to.token}", "Accept": "application/vnd.github+json"}
    try:
        answer = http.request(method, f"{to.api}/repos/{to.repository}/{path}", headers=headers, json=body)
    except httpx2.HTTPError as error:
        raise HarnessError(
            CauseCode.SOURCE_UNREACHABLE, f"{to.api} can't be reached: {error}", hint="run the job again"
        ) from error
    told = ""
    if answer.is_success:
        try:
            return answer.json()
        except ValueError:
            told = " with what is no JSON: a proxy may stand in between"
    with suppress(ValueError, AttributeError):
        told = f": {answer.json().get('message', '')}"
    refused = answer.status_code in {401, 403, 404}
    raise HarnessError(
        CauseCode.USAGE if refused else CauseCode.SOURCE_UNREACHABLE,
        f"GitHub answered {answer.status_code} to {method} {path.partition('?')[0]}{told}",
        hint="permissions: pull-requests: write; a fork's pull request has no such right: its job summary tells"
        if refused
        else "run the job again",
    )


def _address(entry: object) -> str:
    return str(entry.get("html_url") or "") if isinstance(entry, dict) else ""
