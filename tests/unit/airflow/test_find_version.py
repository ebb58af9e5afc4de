"""Which version is meant by a namespace, a ref or a commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from doubles import Kubernetes, items

from harness.airflow.release import versions as look
from harness.cluster.place import Cluster
from harness.cluster.running_cluster import RunningCluster
from harness.errors import CauseCode, HarnessError

SHA = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"


def namespace(name: str, commit: str, ref: str, second: int, **metadata: object) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"harness.local/project": "churn", "harness.local/commit": commit},
            "annotations": {
                "harness.local/ref": ref,
                "harness.local/tag": commit[:12],
                "harness.local/created-at": f"2026-03-01T00:00:{second:02d}+00:00",
            },
            "creationTimestamp": "2026-03-01T00:00:00Z",
            **metadata,
        }
    }


def running(*namespaces: dict[str, Any]) -> RunningCluster:
    api = Kubernetes({("GET", "/api/v1/namespaces"): items(*namespaces)})
    cluster = Cluster("harness", Path("kubeconfig"), ("node",), 8080)
    return RunningCluster(cluster=cluster, api=api, helm=None, server=None, log=Path("log"))  # type: ignore[arg-type]


class TestFindVersion:
    OLD = namespace("churn-00000001", SHA, "main", 1)
    NEW = namespace("churn-00000002", SHA, "main", 2)
    OTHER = namespace("churn-00000003", "f" * 40, "feature/x", 3)

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ("", "churn-00000003"),
            ("churn-00000001", "churn-00000001"),
            ("main", "churn-00000002"),
            (SHA, "churn-00000002"),
            (SHA[:12], "churn-00000002"),
            (SHA[:7], "churn-00000002"),
            ("feature/x", "churn-00000003"),
        ],
    )
    def test_newest_of_those_meant(self, wanted: str, found: str) -> None:
        here = running(self.OTHER, self.NEW, self.OLD)  # in no order
        assert look.find_version(here, wanted).namespace == found

    @pytest.mark.parametrize("wanted", ["mian", SHA[:6], "f" * 41, "churn-0000000"])
    def test_unknown(self, wanted: str) -> None:
        with pytest.raises(HarnessError, match="no version") as caught:
            look.find_version(running(self.OLD, self.OTHER), wanted)
        assert caught.value.cause is CauseCode.USAGE
        assert caught.value.hint == "harness status"

    def test_near_names(self) -> None:
        with pytest.raises(HarnessError) as caught:
            look.find_version(running(self.OLD), "mian")
        assert caught.value.evidence == ("did you mean main?",)

    def test_none(self) -> None:
        with pytest.raises(HarnessError, match="no version on the cluster") as caught:
            look.find_version(running(), "main")
        assert "harness test" in caught.value.hint

    def test_one_that_lacks_everything_is_still_listed(self) -> None:
        bare = {
            "metadata": {"name": "x", "creationTimestamp": "2026-03-01T00:00:00Z", "deletionTimestamp": "t"}
        }
        (version,) = look.versions(running(bare))
        assert (version.namespace, version.state, version.ref) == ("x", "going", "")
        assert version.url == "http://x.localhost:8080"
        assert version.age_s > 0
