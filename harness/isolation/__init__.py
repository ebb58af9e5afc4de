"""Whether versions are apart: canaries that only one may see, probes of what none may reach, and the receipt.

May import `harness.airflow` and what is below it. Nothing here judges a model.
"""
