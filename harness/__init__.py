"""Run the ML DAG of every commit in its own throw-away Airflow on Kubernetes and judge the model."""

__version__ = "0.1.0"
