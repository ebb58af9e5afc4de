"""The user's machine: what it can do, what it lacks, and the programs that are run on it.

May import the plain words at the top alone. Nothing here knows of projects, images, clusters or Airflow.
"""
