"""What a run's numbers mean: metrics read, gates kept, a version compared with its base. Pure functions.

May import the words of a result (`harness.report.model`) and the configuration; no cluster, no Airflow, no clock.
"""
