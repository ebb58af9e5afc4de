"""harness.toml: what is accepted, every violation at once, and no traceback whatever the file holds."""

from __future__ import annotations

import tomllib
from datetime import UTC, timedelta, timezone

import pytest
from configuration_samples import TEST, accepted
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
