"""The Kubernetes cluster and what all versions on it share.

May import `harness.image` and `harness.host`. `kind` makes clusters, `existing` finds those of others, `services` puts
PostgreSQL and the gateway on both. A version's own objects belong to `harness.airflow.release`.
"""
