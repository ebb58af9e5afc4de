"""The pytest plugin: fixtures that run DAGs in a version's own Airflow, and the tests of harness.toml as items.

May import the engine and the renderers, like the command line. It loads at each start of pytest, so what it needs is
imported when it is used.
"""
