"""Results that the cluster keeps, in the database `harness` of its PostgreSQL server: measured once, read by all."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.cluster import labels
from harness.cluster.api import KubernetesApi, KubernetesError
from harness.cluster.services.database import OWN_DATABASE, Server
from harness.cluster.services.services import NAMESPACE
from harness.errors import HarnessError

KEPT_DAYS = 90
_SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_KEYS_NAME = "kept-results"
_TABLE = """
    CREATE TABLE IF NOT EXISTS result (
      key text PRIMARY KEY,
      made_at timestamptz NOT NULL DEFAULT now(),
      document text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS noise (
      key text PRIMARY KEY,
      test text NOT NULL,
      made_at timestamptz NOT NULL DEFAULT now(),
      document text NOT NULL
    );
"""
NOISE_KEPT = 50  # samples of one test, the latest
_RUNS = "json_array_length({}.document::json -> 'sides' -> 0)"


@dataclass(frozen=True)
class KeptResult:
    """A document and when it was made, ISO 8601."""

    document: str
    made_at: str


@dataclass(frozen=True)
class Results:
    """The documents of one cluster by their keys, which are SHA-256 in hexadecimal digits."""

    server: Server

    def find(self, keys: Iterable[str]) -> dict[str, KeptResult]:
        """Those that there are. Raises HarnessError(DATABASE_FAILED)."""
        listed = ", ".join(f"'{_key(key)}'" for key in keys)
        if not listed:
            return {}
        printed = self._query(
            f"""
            SELECT json_build_object('key', key, 'document', document,
              'made_at', to_char(made_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'))
              FROM result WHERE key IN ({listed});
            """
        )
        return {row["key"]: KeptResult(row["document"], row["made_at"]) for row in _rows(printed)}

    def keep(self, documents: Mapping[str, str]) -> None:
        """Keep documents, in place of older ones; forget those of long ago. Raises HarnessError(DATABASE_FAILED)."""
        if not documents:
            return
        rows = ", ".join(
            f"('{_key(key)}', convert_from(decode('{document.encode().hex()}', 'hex'), 'UTF8'))"
            for key, document in documents.items()
        )
        self._query(
            f"""
            INSERT INTO result (key, document) VALUES {rows}
              ON CONFLICT (key) DO UPDATE SET document = EXCLUDED.document, made_at = now();
            DELETE FROM result WHERE made_at < now() - interval '{KEPT_DAYS} days';
            """
        )

    def noise(self, test: str) -> list[str]:
        """The samples of a test's noise, the latest first. Raises HarnessError(DATABASE_FAILED)."""
        printed = self._query(
            f"SELECT json_build_object('document', document) FROM noise WHERE test = '{_key(test)}' "
            "ORDER BY made_at DESC;"
        )
        return [row["document"] for row in _rows(printed)]

    def keep_noise(self, samples: Mapping[str, tuple[str, str]]) -> None:
        """Keep samples by their keys, each with its test's key; of two with one key the one of more runs stays.

        Raises HarnessError(DATABASE_FAILED).
        """
        if not samples:
            return
        rows = ", ".join(
            f"('{_key(key)}', '{_key(test)}', convert_from(decode('{document.encode().hex()}', 'hex'), 'UTF8'))"
            for key, (test, document) in samples.items()
        )
        self._query(
            f"""
            INSERT INTO noise (key, test, document) VALUES {rows}
              ON CONFLICT (key) DO UPDATE SET made_at = now(), document = CASE
                WHEN {_RUNS.format("EXCLUDED")} >= {_RUNS.format("noise")} THEN EXCLUDED.document
                ELSE noise.document END;
            DELETE FROM noise WHERE key IN (
              SELECT key FROM (
                SELECT key, row_number() OVER (PARTITION BY test ORDER BY made_at DESC) AS place FROM noise
              ) AS placed WHERE place > {NOISE_KEPT}
            );
            """
        )

    def _query(self, sql: str) -> str:
        try:
            return self.server.query(sql, OWN_DATABASE)
        except HarnessError:
            self._make()
        return self.server.query(sql, OWN_DATABASE)

    def _make(self) -> None:
        """The database and its table; of two clients that make them at once one fails, and finds them made."""
        try:
            self.server.query(
                f"""
                SELECT 'CREATE DATABASE {OWN_DATABASE}' WHERE NOT EXISTS
                  (SELECT FROM pg_database WHERE datname = '{OWN_DATABASE}') \\gexec
                REVOKE ALL ON DATABASE {OWN_DATABASE} FROM PUBLIC;
                """
            )
            self.server.query(_TABLE, OWN_DATABASE)
        except HarnessError:
            self.server.query(_TABLE, OWN_DATABASE)


def _rows(printed: str) -> list[dict[str, str]]:
    """Objects, one a line: a text in them may hold what Python takes for the end of one, such as U+2028."""
    return [json.loads(line) for line in printed.split("\n") if line.strip()]


def key(api: KubernetesApi) -> bytes:
    """The cluster's own key, made when first needed: what results depend on and nobody may read goes through it."""
    while True:
        found = api.get(f"{_SECRETS}/{_KEYS_NAME}")
        if found is not None:
            return base64.b64decode(found["data"]["key"])
        metadata = {"name": _KEYS_NAME, "labels": labels.ours(role="results")}
        text = secrets.token_hex(32)
        try:
            api.create(
                _SECRETS,
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": text}},
            )
        except KubernetesError as error:
            if error.status != 409:  # another client was first
                raise


def _key(key: str) -> str:
    if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
        raise ValueError(f"{key!r} is no SHA-256")
    return key
