"""DAGs of assets, and which DAG runs with which."""

from __future__ import annotations

from proposals import configured, proposal

from harness.init.written import text_of


class TestAssets:
    CHAIN = """
        from airflow.sdk import Asset, asset, dag, task
        MODEL = Asset("model")

        @asset(schedule="@daily")
        def quotes() -> list[dict]:
            return [{"c": 1}]

        @asset(schedule=quotes, name="chosen")
        def selected(context): ...

        @asset.multi(schedule=None, outlets=[MODEL])
        def fitted(): ...

        @dag(schedule=[MODEL])
        def report():
            @task
            def show(): ...
            show()
        report()
    """

    def test_each_is_a_dag_of_its_own_by_its_name(self) -> None:
        found = proposal({"dags/quotes.py": self.CHAIN})
        assert {test.dag: test.schedule for test in found.tests} == {
            "quotes": "@daily",
            "chosen": "quotes",
            "fitted": "",
            "report": "[MODEL]",
        }

    def test_one_that_follows_another_of_the_repository_runs_with_its_test(self) -> None:
        found = proposal({"dags/quotes.py": self.CHAIN})
        assert sorted(configured(found).tests) == ["fitted", "quotes"]
        text = text_of(found)
        assert "# chosen (dags/quotes.py:10) runs with test quotes: it follows what that produces" in text
        assert "# report (dags/quotes.py:16) runs with test fitted: it follows what that produces" in text

    def test_one_that_waits_for_several_heads_has_a_test_of_its_own(self) -> None:
        found = proposal(
            {
                "dags/quotes.py": """
                    from airflow.sdk import asset
                    @asset(schedule="@daily")
                    def raw_a(): ...
                    @asset(schedule="@daily")
                    def raw_b(): ...
                    @asset(schedule=[raw_a])
                    def clean_a(): ...
                    @asset(schedule=[clean_a, raw_b])
                    def both(): ...
                    @asset(schedule=[both])
                    def after(): ...
                """
            }
        )
        assert sorted(configured(found).tests) == ["both", "raw_a", "raw_b"]

    def test_also_where_the_asset_is_another_modules(self) -> None:
        found = proposal(
            {
                "include/assets.py": "from airflow.sdk import Asset\nready = Asset('s3://bucket/ready')\n",
                "dags/make.py": """
                    from airflow.sdk import dag, task
                    from include.assets import ready
                    @dag(schedule=None)
                    def make():
                        @task(outlets=[ready])
                        def put(): ...
                        put()
                    make()
                """,
                "dags/train.py": """
                    from airflow.sdk import Asset, dag, task
                    @dag(schedule=Asset("s3://bucket/ready"))
                    def train():
                        @task
                        def fit(): ...
                        fit()
                    train()
                """,
            }
        )
        assert list(configured(found).tests) == ["make"]

    def test_one_has_a_test_of_its_own_where_that_which_it_follows_can_not_run(self) -> None:
        found = proposal(
            {"dags/quotes.py": self.CHAIN.replace("return [", "open('/opt/airflow/data/x.csv'); return [")}
        )
        assert sorted(configured(found).tests) == ["chosen", "fitted"]
