"""A team's values of Airflow's official chart, as values of ours; what has no meaning here is told, key by key.

Pure functions: text and facts in, values and reasons out.
"""
