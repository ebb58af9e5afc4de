"""Airflow's REST API of one version: its session, its calls, and what they answer as frozen values."""
