"""What the tasks of the `breast_cancer` DAG do. Only `artifacts` knows Airflow."""
