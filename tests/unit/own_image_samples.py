"""What an image of a team's own says of itself, when nothing is wrong with it."""

from __future__ import annotations

from harness.image.own.contents import Contents

WHOLE = Contents(
    python="3.12",
    executable="/usr/local/bin/python",
    site_directory="/usr/local/lib/python3.12/site-packages",
    user_base="",
    migrations="0123456789abcdef",
    user_id=50000,
    libc="glibc",
    home="/opt/airflow",
    packages={
        "apache-airflow-core": "3.2.2",
        "apache-airflow-providers-cncf-kubernetes": "10.20.0",
        "psycopg2-binary": "2.9.11",
        "asyncpg": "0.31.0",
    },
)
