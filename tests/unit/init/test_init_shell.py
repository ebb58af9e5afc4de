"""What `harness init` makes of programs that a shell runs."""

from __future__ import annotations

from typing import ClassVar

from proposals import configured, proposal, reasons


class TestProgramsThatAShellRuns:
    FILES: ClassVar = {
        "scripts/train.py": """
            import json, os
            import lightgbm
            def main():
                os.makedirs("data/clean", exist_ok=True)
                with open("data/clean/metrics.json", "w") as f:
                    json.dump({"auc": 0.9}, f)
                os.environ["LICENSE_KEY"]
            if __name__ == "__main__":
                main()
        """,
        "scripts/report.py": "def main(): open('data/raw/x.csv')\nmain()\n",
        "cli/ct.py": "import subprocess\nsubprocess.run(['python', 'scripts/train.py', '--fast'])\n",
        "dags/churn.py": """
            from airflow.sdk import DAG, task
            from airflow.providers.standard.operators.bash import BashOperator
            with DAG("churn"):
                for model in ("a", "b"):
                    BashOperator(task_id="train", bash_command=f"cd /opt/airflow && python cli/ct.py --model {model}")
                @task
                def report():
                    import subprocess
                    subprocess.run("python /opt/airflow/scripts/report.py", shell=True)
                report()
        """,
    }

    def test_are_code_with_their_packages_and_folders(self) -> None:
        found = proposal(self.FILES)
        image = configured(found).image
        assert (image.code, image.shared) == (("dags", "cli", "scripts"), ("data/clean",))
        assert found.extra["harness-requirements.in"].splitlines()[1] == "lightgbm  # scripts/train.py:3"

    def test_what_they_ask_for_and_read_is_told(self) -> None:
        assert reasons(proposal(self.FILES)) == [
            "scripts/train.py:8: it asks for environment variable LICENSE_KEY, which nothing here gives: give it as "
            "LICENSE_KEY, named by `from_env` below [secrets]",
            "scripts/report.py:1: it reads data/raw/x.csv, which is not in the repository",
        ]

    def test_the_numbers_that_they_write_are_metrics(self) -> None:
        files = {**self.FILES, "scripts/report.py": ""}
        files["scripts/train.py"] = files["scripts/train.py"].replace('os.environ["LICENSE_KEY"]', "")
        assert [test.metrics_file for test in proposal(files).tests] == ["data/clean/metrics.json"]
