"""Secrets are encrypted before they reach the disk: etcd keeps what was deleted, in its log and in freed pages."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

FOLDER_ON_NODE = "/etc/harness/encryption"
_FILE = "configuration.json"
_KEY_BYTES = 32  # of XSalsa20 and Poly1305, which Kubernetes calls `secretbox`


def write_configuration(folder: Path) -> Path:
    """What a new cluster's API server encrypts Secrets with, a key of its own: the folder to be mounted.

    Only its owner reads the file. Raises OSError.
    """
    place = folder / "encryption"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = {"name": "harness", "secret": base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": [key]}}]}],
    }
    file = place / _FILE
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps(document), encoding="utf-8")
    return place


def api_server() -> dict[str, object]:
    """What kubeadm is told of it; kind's own arguments of the API server are none but an empty one."""
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": [
                {"name": "encryption-provider-config", "value": f"{FOLDER_ON_NODE}/{_FILE}"},
            ],
            "extraVolumes": [
                {
                    "name": "encryption",
                    "hostPath": FOLDER_ON_NODE,
                    "mountPath": FOLDER_ON_NODE,
                    "readOnly": True,
                    "pathType": "Directory",
                }
            ],
        },
    }
