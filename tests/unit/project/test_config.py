"""harness.toml: what is accepted, every violation at once, and no traceback whatever the file holds."""

from __future__ import annotations

import tomllib
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.errors import CauseCode, HarnessError
from harness.project.configuration import Configuration, parse, parse_image
from harness.project.image_settings import ImageSettings
from harness.project.values import import_timeout_s, moment, parse_duration_s

WHOLE = """
project = "breast-cancer"

[image]
python = "3.12"
requirements = "dags/requirements.lock"
code = ["dags", "plugins"]
shared = ["dags/data"]

[tests.breast_cancer]
dag = "breast_cancer"
conf = { seed = 7, nested = { list = [1, 2.5, "x", true] } }
logical_date = 2026-01-31T00:00:00Z
timeout = "1h30m"
metrics = { task = "evaluate" }

[tests.breast_cancer.gates.accuracy]
min = 0.93
better = "higher"
max_regression = 0.01

[tests.breast_cancer.gates."by_class.f1"]
max = 1
"""
TEST = '[tests.a]\ndag = "a"\n'
GATE = TEST + 'metrics = { task = "t" }\n[tests.a.gates.m]\n'


def violations(text: str, origin: str = "harness.toml") -> list[str]:
    with pytest.raises(HarnessError) as caught:
        parse(text, origin=origin)
    error = caught.value
    assert error.cause is CauseCode.CONFIG_INVALID
    assert origin in error.message
    assert error.hint
    return list(error.evidence) or [error.message]


def accepted(text: str) -> Configuration:
    found = parse(text, origin="harness.toml")
    assert found is not None
    return found


class TestAccepted:
    def test_the_whole_file(self):
        found = accepted(WHOLE)
        test = found.tests["breast_cancer"]
        assert (found.project, found.image.python, found.image.dags_folder) == (
            "breast-cancer",
            "3.12",
            "dags",
        )
        assert (test.timeout, test.metrics.task, test.metrics.key) == (5400.0, "evaluate", "return_value")
        assert test.logical_date.isoformat() == "2026-01-31T00:00:00+00:00"
        assert test.conf == {"seed": 7, "nested": {"list": [1, 2.5, "x", True]}}
        assert list(test.gates) == ["accuracy", "by_class.f1"]
        assert test.gates["by_class.f1"].max == 1.0

    def test_nothing_is_all_defaults(self):
        found = accepted("")
        assert found == Configuration()
        assert (found.image.code, found.tests) == (("dags",), {})

    @pytest.mark.parametrize("written", ['"2026-01-31T00:00:00Z"', "2026-01-31T01:00:00+01:00"])
    def test_a_logical_date_is_a_moment(self, written):
        moment = accepted(f"{TEST}logical_date = {written}").tests["a"].logical_date
        assert moment.timestamp() == 1769817600

    def test_pyproject(self):
        text = "[tool.harness.tests.a]\ndag = 'a'"
        assert parse(text, origin="main:sub/pyproject.toml").tests["a"].dag == "a"
        assert parse("[tool.harness]", origin="pyproject.toml") == Configuration()

    @pytest.mark.parametrize("text", ["", "tool = 1", "[project]\nname = 'x'", "[tool.ruff]", "tool = [1]"])
    def test_pyproject_without_us(self, text):
        assert parse(text, origin="pyproject.toml") is None

    @pytest.mark.parametrize("conf", ["[" * 99 + "]" * 99, "{ x = " * 99 + "1" + " }" * 99])
    def test_a_conf_as_deep_as_it_may_be_can_be_kept(self, conf):
        test = accepted(f"{TEST}conf.x = {conf}").tests["a"]
        assert type(test).model_validate_json(test.model_dump_json()) == test

    def test_a_byte_order_mark_is_passed_over(self):
        assert accepted(f"\ufeff{TEST}").tests["a"].dag == "a"
        found = parse_image('\ufeff[image]\ncode = ["src"]', origin="v1:harness.toml")
        assert found is not None
        assert found.code == ("src",)

    @pytest.mark.parametrize("metrics", ['task = "t"', 'file = "m.json"', "mlflow = true"])
    def test_a_bundle_holds_it_whole(self, metrics):
        written = accepted(f"{TEST}metrics = {{ {metrics} }}")
        assert Configuration.model_validate_json(written.model_dump_json()) == written

    @pytest.mark.parametrize(
        ("address", "meant"),
        [
            ("http://mlflow-server:5000", "http://mlflow-server:5000"),
            ("http://tracking:8080/", "http://tracking:8080"),
            ("http://tracking", "http://tracking:80"),
        ],
    )
    def test_where_code_says_that_mlflow_is(self, address, meant):
        found = accepted(f'{TEST}metrics = {{ mlflow = true, address = "{address}" }}').tests["a"].metrics
        assert found.address == meant

    def test_what_is_skipped(self):
        test = accepted(f'{TEST}skip = ["deploy", "release.*", "notify_?"]').tests["a"]
        ids = ["deploy", "deploy_2", "release.publish", "released", "notify_1", "notify_12", "Deploy"]
        assert list(filter(test.skips, ids)) == ["deploy", "release.publish", "notify_1"]

    def test_settings_are_frozen(self):
        with pytest.raises(ValueError, match="frozen"):
            accepted(WHOLE).image.python = "3.13"


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


class TestImageAlone:
    """What is read of the configuration of an older commit."""

    def test_nothing_else_counts(self):
        found = parse_image(
            'speed = 3\n[image]\ncode = ["src"]\n[tests.a]\ntimeout = 0', origin="v1:harness.toml"
        )
        assert found is not None
        assert found.code == ("src",)

    def test_without_one_the_defaults_hold(self):
        assert parse_image(TEST, origin="v1:harness.toml") == ImageSettings()

    def test_in_pyproject(self):
        origin = "v1:pyproject.toml"
        assert parse_image("[project]\nname = 'x'", origin=origin) is None
        found = parse_image(
            "[tool.harness.image]\ncode = ['src']\n[tool.harness.tests]\na = 1", origin=origin
        )
        assert found is not None
        assert found.code == ("src",)

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("[image]\ncolour = 1", "image.colour: unknown key"),
            ("image = 3", "image: "),
            ("[image\n", "no valid TOML"),
        ],
    )
    def test_its_violations_name_the_place(self, text, place):
        with pytest.raises(HarnessError) as caught:
            parse_image(text, origin="v1:harness.toml")
        assert caught.value.cause is CauseCode.CONFIG_INVALID
        assert place in caught.value.message
        assert "v1:harness.toml" in caught.value.message


VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.sampled_from(["3.11", "dags", "10m", "higher", "../x", "\u0661m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["project", "image", "tests", "x"]
TEST_KEYS = [
    "dag",
    "conf",
    "logical_date",
    "timeout",
    "metrics",
    "gates",
    "min",
    "max",
    "better",
    "max_regression",
]
TREES = st.dictionaries(
    st.sampled_from(KEYS),
    VALUES
    | st.dictionaries(
        st.sampled_from(["python", "requirements", "code", "shared", "a", "a b"]),
        VALUES
        | st.dictionaries(st.sampled_from(TEST_KEYS), VALUES | st.dictionaries(st.text(max_size=3), VALUES)),
    ),
)


class TestAnything:
    @given(st.text(max_size=200))
    @example("[tests.a]\ndag = 'a'\ntimeout = 1e400")
    def test_any_text_is_settings_or_a_violation(self, text):
        try:
            assert isinstance(parse(text, origin="harness.toml"), Configuration)
        except HarnessError as error:
            assert error.cause is CauseCode.CONFIG_INVALID

    @settings(max_examples=60)
    @given(TREES)
    def test_any_tree_is_settings_or_a_violation(self, tree):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tomllib, "loads", lambda text: tree)
            try:
                assert isinstance(parse("", origin="harness.toml"), Configuration)
            except HarnessError as error:
                assert error.cause is CauseCode.CONFIG_INVALID
                assert error.message.isprintable()

    @given(st.datetimes(), st.timedeltas(-timedelta(hours=23), timedelta(hours=23)))
    def test_any_time_is_a_moment_or_none(self, local, offset):
        given_time = local.replace(tzinfo=timezone(offset))
        try:
            found = moment(given_time.isoformat())
        except ValueError as error:
            assert "in the years 1970 to 2200" in str(error)
            assert not 1971 <= local.year <= 2199
        else:
            assert found == given_time
            assert 1970 <= found.astimezone(UTC).year <= 2200

    @given(st.integers(0, 24), st.integers(0, 59), st.integers(0, 59))
    def test_durations_add_up(self, hours, minutes, seconds):
        text = "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n)
        if text:
            assert parse_duration_s(text) == hours * 3600 + minutes * 60 + seconds

    @pytest.mark.parametrize("text", ["10", "m", "1m1h", "-1m", "1.5h", " 1m", "1m\n", "1d", "0s", "0h0m"])
    def test_no_duration(self, text):
        with pytest.raises(ValueError, match="expected a duration"):
            parse_duration_s(text)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("20", 20.0), ("150.5", 150.5), ("900", 170.0), ("0", None), ("-1", None), ("soon", None), (None, None)],
)
def test_the_time_that_a_dag_file_has_to_be_imported_may_be_set(
    said: str | None, seconds: float | None
) -> None:
    env = {} if said is None else {"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": said}
    assert import_timeout_s(env) == seconds
