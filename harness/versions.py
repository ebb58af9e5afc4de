"""The versions of everything that is built or fetched: one place to read and to raise them."""

from __future__ import annotations

KUBERNETES = "v1.37.0"
KIND = "v0.33.0"
HELM = "v4.3.1"
ETCD = "v3.7.0"
COREDNS = "v1.15.0"
CONTAINERD = "v2.2.9"
DEBIAN = "bookworm"
DEBIAN_PYTHON = "3.11"
DEBIAN_POSTGRESQL = "15"
DEBIAN_OF_PYTHON = {"3.11": "bookworm", "3.13": "trixie"}  # whose own Python images made from packages have
