"""What of a harness.toml is refused, and with which words."""

from __future__ import annotations

import pytest
from configuration_samples import GATE, TEST, accepted, violations


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("bogus = 1", "bogus: unknown key"),
            ('project = "Bad Name"', "project"),
            ('project = "abc\\n"', "project"),
            ('[image]\npython = "2.7"', "image.python"),
            *(
                (f'{TEST}metrics = {{ mlflow = true, address = "{address}" }}', "tests.a.metrics.address")
                for address in (
                    "http://localhost:5000",
                    "http://airflow:5000",
                    "https://mlflow:5000",
                    "http://mlflow_server:5000",
                    "http://mlflow.example.com:5000",
                    "http://mlflow:0",
                    "http://mlflow:65536",
                    "http://mlflow:5000/api",
                    "http://mlflow:5000\\n",
                )
            ),
            (f'{TEST}metrics = {{ task = "t", address = "http://mlflow:5000" }}', "tests.a.metrics"),
            ('[image]\npython = "3.11\\n"', "image.python"),
            ('[image]\npython = "3.\u0661"', "image.python"),
            ("[image]\ncode = []", "image.code"),
            ('[image]\ncode = "dags"', "image.code"),
            ('[image]\ncode = ["/etc"]', "image.code.0"),
            ('[image]\ncode = ["dags", "a/../../b"]', "image.code.1"),
            ('[image]\ncode = ["--upload-pack=x"]', "image.code.0"),
            ('[image]\ncode = ["a\\u0000b"]', "image.code.0"),
            ('[image]\nrequirements = ""', "image.requirements"),
            ('[image]\nshared = ["."]', "image.shared: the root as a whole can't be shared"),
            (
                '[image]\nshared = ["artifacts"]',
                "image.shared: 'artifacts': a version keeps files of its own",
            ),
            (
                '[image]\nshared = ["data", "logs/x"]',
                "image.shared: 'logs/x': a version keeps files of its own",
            ),
            ('[image]\ncode = ["dags", "logs"]', "image.code: 'logs': a version keeps files of its own"),
            ('[image]\npython_path = ["../src"]', "image.python_path.0"),
            ('[image]\npython_path = "src"', "image.python_path"),
            ('[image]\nroot = "airflow"', "image.root: expected an absolute path"),
            ('[image]\nroot = "/opt/../etc"', "image.root: expected an absolute path"),
            ('[image]\nroot = "/usr"', "image.root: the system has files of its own there"),
            ('[image]\nroot = "/tmp/airflow"', "image.root: the system has files of its own there"),
            ('[image.links]\nlogs = "dags"', "image.links: 'logs' is a place of harness's own"),
            (
                '[image.links]\n"dags/x" = "dags"',
                "image.links: 'dags/x' is where `code` or `shared` puts something",
            ),
            ('[image.links]\nx = "other"', "image.links: 'x' leads to 'other', which neither `code` nor"),
            ('[image.links]\nx = "dags"\n"x/y" = "dags"', "image.links: 'x/y' lies behind another link"),
            ('[image.links]\nx = "/etc"', "image.links.x"),
            ('[image.links]\n"/etc/x" = "dags"', "image.links./etc/x: the system has files of its own there"),
            ('[image.links]\n"/home" = "dags"', "image.links./home: the system has files of its own there"),
            (
                '[image.links]\n"/opt/../x" = "dags"',
                "image.links./opt/../x: expected a path below the root, or an",
            ),
            (
                '[image.links]\n"/opt/airflow/x" = "dags"',
                "image.links: '/opt/airflow/x' is at or below the root",
            ),
            ('[image.links]\n"/x" = "dags"\n"/x/y" = "dags"', "image.links: '/x/y' lies behind another link"),
            (
                '[image.env]\nPYTHONPATH = "src"',
                "image.env.PYTHONPATH: name folders of the repository in `python_path`",
            ),
            ("[image.env]\nMODE = 1", "image.env.MODE"),
            ('[image.env]\n"a b" = "1"', "image.env"),
            ('[image.env]\nPATH = "/bin"', "image.env"),
            ('[image.env]\nHARNESS_ARTIFACTS_URL = "x"', "image.env"),
            ("tests = [1]", "tests"),
            ("[tests]\na = 1", "tests.a"),
            ("[tests.a]", "tests.a.dag: missing"),
            ('[tests.a]\ndag = "a b"', "tests.a.dag"),
            ('[tests."a b"]\ndag = "a"', "tests.a b"),
            (f'[tests.{"a" * 64}]\ndag = "a"', "tests.aaa"),
            (TEST + "conf = { at = 2026-01-31 }", "tests.a.conf"),
            (TEST + "conf = { x = nan }", "tests.a.conf"),
            (TEST + "logical_date = 2026-01-31", "tests.a.logical_date"),
            (TEST + "logical_date = 2026-01-31T00:00:00", "tests.a.logical_date"),
            (TEST + 'logical_date = "soon"', "tests.a.logical_date"),
            (TEST + 'logical_date = "9999-12-31T23:59:59-10:00"', "tests.a.logical_date: expected a time in"),
            (TEST + 'logical_date = "0001-01-01T00:00:00+10:00"', "tests.a.logical_date: expected a time in"),
            (TEST + "logical_date = 9999-12-31T23:59:59Z", "tests.a.logical_date: expected a time in"),
            (TEST + "logical_date = 1970-01-01T00:00:00+01:00", "tests.a.logical_date: expected a time in"),
            (
                TEST + "conf." + ".".join("x" * 3000) + " = 1",
                "tests.a.conf: conf is nested more than 100 deep",
            ),
            (TEST + "conf.x = " + "[" * 101 + "]" * 101, "tests.a.conf: conf is nested more than 100 deep"),
            (TEST + "timeout = 0", "tests.a.timeout"),
            (TEST + "timeout = true", "tests.a.timeout"),
            (TEST + "timeout = inf", "tests.a.timeout"),
            (TEST + 'timeout = ""', "tests.a.timeout"),
            (TEST + f"timeout = {'1' * 400}", "tests.a.timeout"),
            (TEST + f'timeout = "{"9" * 400}h"', "tests.a.timeout"),
            (TEST + 'metrics = { task = "" }', "tests.a.metrics.task"),
            (TEST + "metrics = {}", "tests.a.metrics: expected one of"),
            (TEST + 'metrics = { task = "t", file = "f" }', "tests.a.metrics: expected one of"),
            (TEST + 'metrics = { file = "f", key = "k" }', "tests.a.metrics: `key` is that of a task"),
            (TEST + 'metrics = { file = "/f" }', "tests.a.metrics.file"),
            ('[secrets]\nfrom_env = ["a b"]', "secrets.from_env.0"),
            ('[secrets]\nfrom_env = ["PATH"]', "secrets.from_env.0"),
            ('[secrets]\nenv_file = "../.env"', "secrets.env_file"),
            ('[secrets]\nvault = "x"', "secrets.vault: unknown key"),
            (TEST + 'skip = "deploy"', "tests.a.skip"),
            (TEST + 'skip = [""]', "tests.a.skip.0"),
            (TEST + 'skip = ["a b"]', "tests.a.skip.0"),
            (
                TEST + 'metrics = { task = "evaluate" }\nskip = ["eval*"]',
                "tests.a.skip: the metrics come from task evaluate",
            ),
            (TEST + "[tests.a.gates.m]\nmin = 1", "tests.a.gates: gates need metrics"),
            (GATE, "tests.a.gates.m: a gate needs"),
            (GATE + "min = 2\nmax = 1", "tests.a.gates.m: min 2 is above max 1"),
            (GATE + "min = nan", "tests.a.gates.m.min"),
            (GATE + "min = true", "tests.a.gates.m.min"),
            (GATE + 'min = "0.9"', "tests.a.gates.m.min"),
            (GATE + f"min = {'1' * 400}", "tests.a.gates.m.min"),
            (GATE + "max_regression = 0.1", "tests.a.gates.m: max_regression needs better"),
            (GATE + 'max_regression = -0.1\nbetter = "higher"', "tests.a.gates.m.max_regression"),
            (GATE + 'min = 0\nbetter = "bigger"', "tests.a.gates.m.better"),
        ],
    )
    def test_names_the_place(self, text, place):
        (found,) = violations(text)
        assert f": {place}" in found

    def test_every_violation_at_once(self):
        text = """
            bogus = 1
            project = "Bad Name"
            [image]
            python = "2.7"
            code = ["/abs", "dags"]
            [tests."bad name"]
            dag = ""
            timeout = "soon"
            logical_date = "soon"
            [tests.b]
            dag = "b"
            gates.m = { min = 2, max = 1 }
            gates.n = { min = "x" }
            [tests.c]
            extra = 1
        """
        found = violations(text)
        places = [line.split(": ")[0] for line in found]
        assert sorted(places) == sorted(
            [
                "bogus",
                "project",
                "image.python",
                "image.code.0",
                "tests.bad name",
                "tests.bad name.dag",
                "tests.bad name.timeout",
                "tests.bad name.logical_date",
                "tests.b.gates",
                "tests.b.gates.m",
                "tests.b.gates.n.min",
                "tests.c.dag",
                "tests.c.extra",
            ]
        )

    def test_a_seed_is_a_whole_number_of_conf_and_a_comparison_takes_some_time(self):
        found = violations(f'{TEST}conf = {{ other = 7 }}\nseed = "random_state"\nmax_comparison_time = "0m"')
        assert [line.partition(": ")[0] for line in found] == ["tests.a.max_comparison_time", "tests.a.seed"]
        assert "conf has no key 'random_state'" in found[1]
        (one,) = violations(f'{TEST}conf = {{ random_state = "x" }}\nseed = "random_state"')
        assert one == (
            "harness.toml has 1 problem: tests.a.conf.random_state: a seed is a whole number (got 'x')"
        )
        accepted(f'{TEST}conf = {{ random_state = 1 }}\nseed = "random_state"\nundecided = "fail"')

    def test_contradictions_are_told_beside_what_is_invalid(self):
        gates = """
            m = { min = 2, max = 1, max_regression = -1, better = "up" }
            n = {}
            o = { min = true, max = 1 }
        """
        found = violations(f"{TEST}timeout = 0\n[tests.a.gates]{gates}")
        assert sorted(line.partition(": ")[0] for line in found) == [
            "tests.a.gates",
            "tests.a.gates.m",
            "tests.a.gates.m.better",
            "tests.a.gates.m.max_regression",
            "tests.a.gates.n",
            "tests.a.gates.o.min",
            "tests.a.timeout",
        ]
        assert "tests.a.gates.m: min 2 is above max 1: nothing can pass" in found

    def test_every_variable_that_is_wrong_is_told(self):
        text = '[image.env]\nPATH = "x"\nHARNESS_X = "1"\nA = 1\nB = "\\u0000"\n"c d" = "x"\nFINE = "x"'
        assert [line.partition(": ")[::2] for line in violations(text)] == [
            ("image.env.PATH", "PATH is set by harness itself"),
            ("image.env.HARNESS_X", "HARNESS_X is set by harness itself"),
            ("image.env.A", "Input should be a valid string (got 1)"),
            ("image.env.B", "it holds a NUL, which no environment variable may (got '\\x00')"),
            ("image.env.c d", "'c d' is no name of an environment variable: use letters, digits and '_'"),
        ]

    def test_every_folder_that_a_mount_would_hide_is_told(self):
        (found,) = violations('[image]\nshared = ["logs", "dags/a", "artifacts/y"]')
        assert "'logs', 'artifacts/y'" in found

    def test_shared_folders_need_not_be_code(self):
        assert accepted('[image]\nshared = ["models", "dags/data"]').image.shared == ("models", "dags/data")

    def test_a_layout_of_ones_own(self):
        image = accepted(
            '[image]\ncode = ["team/dags", "src"]\nroot = "/usr/local/airflow"\npython_path = ["src"]\n'
            'shared = ["team/data"]\n[image.links]\ndags = "team/dags"\ndata = "team/data"\n'
        ).image
        assert (image.root, image.python_path) == ("/usr/local/airflow", ("src",))
        assert image.links == {"dags": "team/dags", "data": "team/data"}

    def test_links_outside_the_root(self):
        image = accepted(
            '[image]\ncode = ["dags", "data"]\n'
            '[image.links]\n"/data" = "data"\n"/home/airflow/project" = "."\n"/opt/project/dags" = "dags"\n'
        ).image
        assert image.links == {"/data": "data", "/home/airflow/project": ".", "/opt/project/dags": "dags"}
        assert image.places == ("dags", "data", "/data", "/home/airflow/project", "/opt/project/dags")

    def test_the_first_fifty_of_very_many(self):
        found = violations("".join(f"k{number} = 1\n" for number in range(3000)))
        assert (len(found), found[0], found[-1]) == (51, "k0: unknown key", "and 2950 more")

    def test_pyproject_places_are_those_of_the_file(self):
        (found,) = violations("[tool.harness]\nx = 1", "pyproject.toml")
        assert found.endswith("tool.harness.x: unknown key")

    @pytest.mark.parametrize(
        "text",
        [
            "[",
            "a = ",
            "a = 1\na = 2",
            "\x00",
            "a = " + "[" * 5000 + "]" * 5000,
            f"a = {'1' * 5000}",
            "[a]\n[a]",
        ],
        ids=["open", "no value", "twice", "control", "deep", "digits", "table twice"],
    )
    def test_no_toml(self, text):
        (found,) = violations(text)
        assert "is no valid TOML" in found

    def test_what_is_shown_is_short_and_harmless(self):
        (found,) = violations('[image]\npython = "\\u001b[31m' + "x" * 10_000 + '"')
        assert found.isprintable()
        assert len(found) < 300

    def test_two_tests_that_ask_for_the_same_run(self):
        date = "logical_date = 2026-01-31T00:00:00Z"
        text = f"""
            [tests.a]
            dag = "x"
            {date}
            [tests.b]
            dag = "x"
            logical_date = "2026-01-31T02:00:00+02:00"
            [tests.c]
            dag = "y"
            {date}
            [tests.d]
            dag = "x"
            logical_date = 2026-01-31T00:00:01Z
            [tests.e]
            dag = "x"
            [tests.f]
            dag = "x"
            """
        (found,) = violations(text)
        assert ": tests.b.logical_date: tests.a runs DAG x" in found
        both = violations(f"{text}timeout = 0")
        assert [each.split(":")[0] for each in both] == ["tests.f.timeout", "tests.b.logical_date"]
