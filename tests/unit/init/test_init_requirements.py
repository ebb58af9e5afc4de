"""What `harness init` makes of requirements of one machine, and of packages that the image installs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proposals import asking, configured, proposal, reasons

from harness.init.proposal import propose
from harness.init.reading.packages.requirement_lines import unfit
from harness.init.reading.repository_files import Place, RepositoryFiles
from harness.init.reading.repository_files import _text as text_of_file


class TestRequirementsOfOneMachine:
    def lock_of(self, requirements: str) -> tuple[str, list[str], list[str]]:
        found = proposal({"requirements.txt": requirements, **asking("pass")})
        said = [
            f"{each.place} {each.text}"
            for each in found.findings
            if each.about == "packages" and each.kind == "yours"
        ]
        lines = [line for text in found.extra.values() for line in text.splitlines()[1:]]
        return found.image.requirements, lines, said

    def test_lines_that_are_none_are_left_out_and_named(self) -> None:
        path, lines, said = self.lock_of(
            "pandas==2.1.4\n\nvolumes:\n    - ./dags:/opt/airflow/dags\n    - x\n"
        )
        assert (path, lines) == ("harness-requirements.in", ["pandas==2.1.4"])
        assert said == [
            "requirements.txt:3 `volumes:`: this is no requirement: the line is left out, as are 2 more like it"
        ]

    def test_what_conda_froze_is_taken_by_its_name(self) -> None:
        _, lines, said = self.lock_of("numpy @ file:///croot/numpy_1708/work\nscipy==1.12\n")
        assert lines == ["numpy", "scipy==1.12"]
        assert said[0].endswith("its file lies on the machine that wrote it: numpy is taken")

    def test_what_no_linux_has_is_left_out(self) -> None:
        _, lines, _ = self.lock_of("pywin32==306\npkg-resources==0.0.0\npandas\n")
        assert lines == ["pandas"]
        path, _, said = self.lock_of("pywin32==306; sys_platform == 'win32'\npandas\n")
        assert (path, said) == ("requirements.txt", [])

    def test_a_file_in_utf_16_is_copied(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_bytes("pandas==2.1.4\n".encode("utf-16"))
        text = text_of_file(tmp_path / "requirements.txt")
        assert text is not None
        found = propose(
            RepositoryFiles.given(
                {"requirements.txt": text, "dags/churn.py": "from airflow.sdk import DAG\nDAG('x')\n"}
            )
        )
        assert found.extra["harness-requirements.in"].splitlines()[1:] == ["pandas==2.1.4"]

    @given(
        name=st.from_regex(r"[A-Za-z]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(
            lambda name: (
                "win" not in name.lower() and name.lower() not in {"wmi", "pkg_resources", "pkg-resources"}
            )
        ),
        rest=st.sampled_from(
            [
                *("", "==1.0", ">=1,<2", "[extra]~=1.0", " (>=1.0)", " ; python_version < '3.12'"),
                *(
                    " @ https://example.com/x.whl",
                    " @ git+https://example.com/x.git@v1",
                    "==1.0 --hash=sha256:00",
                ),
            ]
        ),
    )
    def test_no_requirement_is_taken_for_none(self, name: str, rest: str) -> None:
        assert unfit(f"{name}{rest}", Place("requirements.txt", 1)) is None


class TestProjectsThatTheImageInstalls:
    FILES: ClassVar = {
        "Dockerfile": """
            FROM apache/airflow:3.1.3
            ADD --chown=airflow:airflow packages /home/airflow/packages
            RUN pip install -e /home/airflow/packages
        """,
        "docker-compose.yml": """
            services:
              airflow:
                build: .
                environment: [AIRFLOW__CORE__LOAD_EXAMPLES=false, HASH_FILE=.git_hash]
        """,
        "packages/pyproject.toml": '[project]\nname = "ours"\nversion = "1"\ndependencies = ["pandas==2.2.3"]\n',
        "packages/src/ours/__init__.py": "",
        "packages/src/ours/experiment.py": """
            import os
            from airflow.sdk import DAG, task

            @task
            def run(): ...

            def experiment(name):
                os.environ["HASH_FILE"]
                with DAG(dag_id=name) as dag:
                    run()
                return dag
        """,
        "dags/mnist.py": """
            from airflow.sdk import DAG
            from ours.experiment import experiment
            made: DAG = experiment("mnist")
            OTHER = None
        """,
    }

    def test_their_modules_are_found_and_the_dags_that_they_make(self) -> None:
        found = proposal(self.FILES)
        image = configured(found).image
        assert (image.code, image.python_path) == (("dags", "packages/src"), ("packages/src",))
        assert image.requirements == "packages/pyproject.toml"
        assert dict(image.env) == {"HASH_FILE": ".git_hash"}
        assert [(test.dag, test.place) for test in found.tests] == [("mnist", "dags/mnist.py:4")]


def test_an_image_of_ones_own_that_installs_airflow() -> None:
    found = proposal(
        {
            "Dockerfile": """
                FROM python:3.13-slim AS base
                ARG AIRFLOW_VERSION=3.1.3
                ENV AIRFLOW_HOME=/app/airflow
                RUN pip install "apache-airflow[amazon]==${AIRFLOW_VERSION}" scikit-learn==1.5.2 --constraint x.txt
                COPY dags/ /app/airflow/dags/
                COPY data/ /app/airflow/data/
            """,
            "ui/Dockerfile": "FROM python:3.9\nRUN pip install streamlit apache-airflow-client\n",
            "data/x.csv": "a",
            **asking("open('/app/airflow/data/x.csv')"),
        }
    )
    image = configured(found).image
    assert (image.root, image.airflow, image.python) == ("/app/airflow", "3.1.3", "3.13")
    assert image.code == ("dags", "data")
    assert reasons(found) == []
    lines = found.extra["harness-requirements.in"].splitlines()[1:]
    assert [line.partition("  #")[0] for line in lines] == [
        "apache-airflow[amazon]==3.1.3",
        "scikit-learn==1.5.2",
    ]


@pytest.mark.parametrize(("named", "written"), [("pandas\n", True), ("setuptools\n", False)])
def test_pkg_resources_is_in_setuptools(named: str, written: bool) -> None:
    files = asking("import pkg_resources")
    found = proposal({**files, "requirements.txt": named})
    assert any("setuptools<81" in text for text in found.extra.values()) is written


class TestAnIndexOfTheTeamsImage:
    CPU = "https://packages.example.com/whl/cpu"

    def lines(self, **files: str) -> list[str]:
        found = proposal(
            {**asking("import torch"), **{name.replace("_", "."): text for name, text in files.items()}}
        )
        return [line for text in found.extra.values() for line in text.splitlines() if "index" in line]

    @pytest.mark.parametrize(
        "command",
        [
            "pip install --no-cache-dir --index-url {url} torch",
            "pip install torch --extra-index-url={url}",
            "pip3 install -i {url} torch",
            "pip install pandas && uv pip install torch --extra-index-url {url}",
        ],
    )
    def test_is_asked_too(self, command: str) -> None:
        text = f"FROM apache/airflow:3.1.3\nRUN {command.format(url=self.CPU)}\n"
        assert self.lines(Dockerfile=text) == [f"--extra-index-url {self.CPU}  # Dockerfile:2"]

    def test_also_where_a_file_names_the_packages(self) -> None:
        install = f"COPY requirements.txt .\nRUN pip install -r requirements.txt -i {self.CPU}\n"
        text = f"FROM apache/airflow:3.1.3\n{install}"
        files = {"Dockerfile": text, "requirements_txt": "torch\n"}
        assert self.lines(**files) == [f"--extra-index-url {self.CPU}  # Dockerfile:3"]
        assert self.lines(**{**files, "requirements_txt": f"--extra-index-url {self.CPU}\ntorch\n"}) == []

    @pytest.mark.parametrize(
        "url",
        ["https://pypi.org/simple/", "https://me:$TOKEN@packages.example.com/simple", "$INDEX", "/wheels"],
    )
    def test_none_with_a_login_nor_the_usual_one(self, url: str) -> None:
        assert self.lines(Dockerfile=f"FROM apache/airflow:3.1.3\nRUN pip install -i {url} torch\n") == []
