"""A pull request's comment, where something else than GitHub answers."""

from __future__ import annotations

import httpx2
import pytest

from harness.engine import comment
from harness.errors import CauseCode, HarnessError


def test_a_page_in_place_of_an_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    page = httpx2.MockTransport(lambda _: httpx2.Response(200, text="<html>Log in</html>"))
    monkeypatch.setattr(comment.download, "client", lambda: httpx2.Client(transport=page))
    where = comment.PullRequest("https://api.github.com", "team/churn", 12, "token")
    with pytest.raises(HarnessError, match="with what is no JSON: a proxy may stand in between") as caught:
        comment.comment(lambda _: "passed", "harness", where)
    assert caught.value.cause is CauseCode.SOURCE_UNREACHABLE
