"""What the node's programs are built from is what `harness version` and the docs say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import versions
from harness.cluster.kind.node_image import program

SOURCE = Path(program.__file__).parent / "source"
REQUIRED = dict(re.findall(r"^\s+(\S+) (v\S+)", (SOURCE / "go.mod").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize(
    ("module", "version"),
    [
        ("k8s.io/kubernetes", versions.KUBERNETES),
        ("sigs.k8s.io/kind", versions.KIND),
        ("helm.sh/helm/v4", versions.HELM),
        ("go.etcd.io/etcd/server/v3", versions.ETCD),
        ("github.com/coredns/coredns", versions.COREDNS),
        ("github.com/containerd/containerd/v2", versions.CONTAINERD),
    ],
)
def test_go_mod_requires_the_versions_that_are_named(module: str, version: str) -> None:
    assert REQUIRED[module] == version


def test_each_program_of_ours_is_a_folder_of_the_module() -> None:
    for name in program.OWN_PROGRAMS:
        assert "package main" in (SOURCE / name / "main.go").read_text(encoding="utf-8")
