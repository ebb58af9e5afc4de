"""One version's Airflow: its release, its API, its runs, and why they failed.

May import `harness.cluster` and what is below it. Rooms know each other in this order: `rest`, `pods`, `logs`,
`autopsy`, `parsing`, `run`, `release`. What a test makes of it belongs to `harness.engine`.
"""
