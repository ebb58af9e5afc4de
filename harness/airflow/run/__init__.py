"""A DAG run: followed to its end or its deadline, and the numbers that it handed over."""
