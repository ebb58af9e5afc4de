"""One version's Airflow: its release, its API, its runs, and why they failed."""
