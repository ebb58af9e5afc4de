"""What the user's repository asks for: its configuration, its commits and its working tree.

May import `harness.host`. Nothing here knows of images, clusters or Airflow.
"""
