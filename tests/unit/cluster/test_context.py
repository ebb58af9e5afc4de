"""A cluster that isn't ours: its names, the allow list, and which containers are its nodes."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from test_kubeconfig import SERVER, document

from harness import hints
from harness.cli.options import ClusterOptions
from harness.cluster import place
from harness.cluster.existing import allow_list, existing, kubeconfig
from harness.cluster.kind.configuration import KIND_LABEL
from harness.engine.down import down
from harness.errors import CauseCode, HarnessError
from harness.host.process import Completed
from harness.image.registry.address import Registry
from harness.progress import Silent

CONTEXTS = st.from_regex(place.CONTEXT, fullmatch=True)


class TestNames:
    @pytest.mark.parametrize(
        "context", ["kind-team", "arn:aws:eks:eu-west-1:1:cluster/team", "me@host", "Team_1", "ü", "a" * 253]
    )
    def test_of_contexts(self, context: str) -> None:
        assert place.check_name(f"@{context}") == f"@{context}"
        assert place.context_of(f"@{context}") == context

    @pytest.mark.parametrize(
        "context", ["", "-x", "--kubeconfig=x", "a b", "a\nb", "a\0", "\x1b[0m", "a" * 254]
    )
    def test_that_no_context_has(self, context: str) -> None:
        with pytest.raises(HarnessError) as caught:
            place.check_name(f"@{context}")
        assert caught.value.cause is CauseCode.USAGE

    @given(CONTEXTS)
    def test_files_of_any_context_lie_in_one_folder(self, context: str) -> None:
        name = place.file_name(f"@{context}")
        assert "/" not in name
        assert len(name) < 60
        assert place.state_folder(f"@{context}").parent == place.state_folder("harness").parent
        assert not place.NAME.fullmatch(name)  # no cluster of ours has it

    @given(CONTEXTS, CONTEXTS)
    def test_two_contexts_have_two_folders(self, one: str, other: str) -> None:
        assert (place.file_name(f"@{one}") == place.file_name(f"@{other}")) == (one == other)

    def test_the_option_stands_for_the_marked_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(hints.VARIABLE, "mine")
        assert ClusterOptions().chosen == "harness"
        assert ClusterOptions("harness", "team").chosen == "@team"
        assert ClusterOptions("mine", "team").chosen == "@team"  # the variable gives way to an option
        with pytest.raises(typer.BadParameter):
            _ = ClusterOptions("another", "team").chosen

    def test_hints_name_the_context(self) -> None:
        assert hints.for_cluster("harness up", "@kind-team") == "harness up --context kind-team"
        assert hints.option("@a; b") == " --context 'a; b'"
        once = hints.for_cluster("harness down && harness up", "@t")
        assert once == "harness down --context t && harness up --context t"
        assert hints.for_cluster(once, "@t") == once


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(allow_list.VARIABLE, str(tmp_path / "config"))
    return tmp_path / "config" / allow_list.FILE


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class TestAllowList:
    def test_nothing_is_allowed_without_one(self, lists: Path) -> None:
        with pytest.raises(HarnessError) as caught:
            allow_list.check("team", SERVER)
        assert caught.value.cause is CauseCode.USAGE
        assert not lists.exists()

    @given(CONTEXTS, st.from_regex(r"https://[a-z0-9.\-\[\]:'\" ]{1,40}", fullmatch=True))
    def test_the_hint_adds_exactly_this_context(self, context: str, server: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(allow_list.VARIABLE, "/nowhere")
            with pytest.raises(HarnessError) as caught:
                allow_list.check(context, server)
        *_, table, entry, target = shlex.split(caught.value.hint)
        assert target == ">>/nowhere/contexts.toml"
        assert tomllib.loads(f"{table}\n{entry}\n") == {"contexts": {context: {"server": server}}}

    def test_name_and_address_must_both_fit(self, lists: Path) -> None:
        written(lists, f'[contexts."team"]\nserver = "{SERVER}/"\n[contexts.other]\nserver = "https://o"\n')
        allow_list.check("team", SERVER)
        for context, server in (
            ("team", "https://o"),
            ("other", SERVER),
            ("Team", SERVER),
            ("team", f"{SERVER}1"),
        ):
            with pytest.raises(HarnessError) as caught:
                allow_list.check(context, server)
            assert caught.value.cause is CauseCode.USAGE

    @pytest.mark.parametrize(
        "text",
        ["[contexts", "contexts = 3", "[contexts.team]", "[contexts.team]\nserver = 3", "[team]\nserver = 'x'",
         "[contexts.team]\nserver = 'x'\nanything = 1", "\xff", "[registry]\nurl = '/ml'",
         "[registry]\nurl = 'http://r.example.com'", "[contexts.team]\nserver = 'x'\naccess_mode = 'any'"],
    )  # fmt: skip
    def test_one_that_cannot_be_read_allows_nothing(self, lists: Path, text: str) -> None:
        lists.parent.mkdir()
        lists.write_bytes(text.encode("latin-1"))
        with pytest.raises(HarnessError) as caught:
            allow_list.check("team", "x")
        assert caught.value.cause is CauseCode.CONFIG_INVALID
        assert str(lists) in caught.value.message


class TestNodes:
    """Docker's answers to which containers are a cluster's nodes."""

    @pytest.fixture(autouse=True)
    def world(self, lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written(lists, f'[contexts.team]\nserver = "{SERVER}"\n')
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document()), encoding="utf-8")
        monkeypatch.setenv(kubeconfig.VARIABLE, str(tmp_path / "kubeconfig"))
        monkeypatch.setenv(place.STATE_VARIABLE, str(tmp_path / "state"))
        self.names = ["team-control-plane", "team-worker"]
        self.containers = [
            self.container("team", {"6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6443"}]}),
            self.container("team", None),
        ]
        monkeypatch.setattr(existing, "KubernetesApi", lambda _: self)
        monkeypatch.setattr(existing.process, "run", self.run)

    @staticmethod
    def container(cluster: str | None, ports: Any) -> Any:
        marks = {KIND_LABEL: cluster} if cluster else None
        return {"Config": {"Labels": marks}, "HostConfig": {"PortBindings": ports}}

    def list(self, path: str) -> list[Any]:
        assert path == "/api/v1/nodes"
        return [{"metadata": {"name": name}} for name in self.names]

    def run(self, argv: list[str], **_: Any) -> Completed:
        assert argv == ["docker", "container", "inspect", *self.names]
        return Completed((), 0, json.dumps(self.containers), "")

    def test_a_kind_cluster_of_this_docker(self, tmp_path: Path) -> None:
        found = existing.find("@team")
        assert found.nodes == ("team-control-plane", "team-worker")
        assert found.forwarded
        assert found.kubeconfig.is_relative_to(tmp_path / "state")
        assert found.kubeconfig.stat().st_mode & 0o077 == 0
        assert existing.find("@team") == found  # the same port again
        place.remove_state("@team")
        assert not (tmp_path / "state" / "clusters").exists()

    @pytest.mark.parametrize(
        "containers",
        [
            [],
            [("team", {})],  # one node is somewhere else
            [("team", None), ("team", None)],  # the address leads to another cluster of these names
            [("team", {"6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6444"}]}), ("team", None)],
            [("team", {"6443/tcp": None}), ("team", None)],
            [(None, {"6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6443"}]}), (None, None)],
            [("team", {"6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6443"}]}), ("other", None)],
        ],
        ids=str,
    )
    def test_anything_else_needs_a_registry_and_its_login_is_not_kept(
        self, tmp_path: Path, containers: list[tuple[str | None, Any]]
    ) -> None:
        self.containers = [self.container(*each) for each in containers]
        with pytest.raises(HarnessError) as caught:
            existing.find("@team")
        assert caught.value.cause is CauseCode.USAGE
        assert "[registry]" in caught.value.hint
        assert not (tmp_path / "state").exists()

    def test_a_cluster_elsewhere_has_a_registry_and_nothing_is_asked_of_docker(
        self, lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its entry says so by a registry of its own, though its server is at this machine, as by a tunnel."""
        asked: list[tuple[str, str]] = []
        self.request = lambda *words: asked.append(words)  # type: ignore[attr-defined]
        monkeypatch.setattr(existing.process, "run", lambda *_, **__: pytest.fail("a program was run"))
        written(
            lists,
            f'[contexts.team]\nserver = "{SERVER}"\nstorage_class = "nfs"\naccess_mode = "ReadWriteMany"\n'
            'tolerations = [{key = "ml", operator = "Exists"}]\n'
            '[contexts.team.registry]\nurl = "registry.example.com/ml"\nca = "ca.pem"\n',
        )
        found = existing.find("@team")
        assert found.nodes == ()
        assert found.registry == Registry("registry.example.com", "ml", lists.parent / "ca.pem")
        assert (found.placement.storage_class, found.placement.on_one_node) == ("nfs", False)
        assert asked == [("GET", "/version")]

    def test_one_that_is_gone_is_forgotten_when_asked(self, tmp_path: Path) -> None:
        existing.find("@team")
        gone = HarnessError(CauseCode.CLUSTER_FAILED, "it does not answer")
        self.list = lambda _: (_ for _ in ()).throw(gone)  # type: ignore[method-assign]
        with pytest.raises(HarnessError) as caught:
            down("@team", Silent())
        assert caught.value.hint.endswith(f"or to forget it: {existing.FORGET}")
        assert place.state_folder("@team").exists()
        assert down("@team", Silent(), force=True)
        assert not (tmp_path / "state").exists()
        with pytest.raises(HarnessError):  # there is nothing to forget any more
            down("@team", Silent(), force=True)

    def test_our_own_cluster_has_a_name(self) -> None:
        folder = place.state_folder("team")
        folder.mkdir(parents=True)
        (folder / "kubeconfig").touch()
        with pytest.raises(HarnessError, match="harness's own cluster team"):
            existing.find("@team")

    def test_ports_of_two_clusters_differ(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = place.state_folder("@other")
        other.mkdir(parents=True)
        first = existing.find("@team").gateway_port
        place.remove_state("@team")
        (other / "port").write_text(f"{first}\n")
        assert existing.find("@team").gateway_port != first
