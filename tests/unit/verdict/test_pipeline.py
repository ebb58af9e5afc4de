"""The functions of the sample pipeline, without Airflow."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from harness.project import configuration as config
from harness.verdict import metrics

REPOSITORY = Path(__file__).parents[3]
sys.path.insert(0, str(REPOSITORY / "dags"))

from breast_cancer_pipeline import artifacts, data, evaluation, model, schema, validation  # noqa: E402


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return data.load_raw()


@pytest.fixture
def frame(raw: pd.DataFrame) -> pd.DataFrame:
    return raw.copy()


def problems_of(frame: pd.DataFrame) -> list[str]:
    with pytest.raises(validation.InvalidDataError) as caught:
        validation.validate(frame)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


class TestRawData:
    def test_has_the_documented_rows_columns_and_labels(self, raw):
        assert list(raw.columns) == [*schema.FEATURES, schema.LABEL]
        assert raw[schema.LABEL].value_counts().to_dict() == {schema.BENIGN: 357, schema.MALIGNANT: 212}

    def test_survives_csv_to_the_last_bit(self, raw):
        text = raw.to_csv(index=False)
        pd.testing.assert_frame_equal(raw, artifacts.frame_from_csv(text.encode()), check_exact=True)


class TestValidation:
    def test_accepts_the_raw_data(self, raw):
        validation.validate(raw)

    def test_rows_are_positions_whatever_the_index(self, frame):
        frame.loc[3, "mean area"] = np.nan
        frame.index = frame.index + 1000
        assert problems_of(frame) == ["column 'mean area': not a finite number in row 3"]

    def test_names_missing_unexpected_and_repeated_columns(self, frame):
        frame = frame.rename(columns={"mean radius": "radius_mean"})
        assert problems_of(frame) == ["column 'mean radius': missing", "column 'radius_mean': unexpected"]

    def test_a_repeated_column_is_a_problem_not_a_crash(self, frame):
        repeated = pd.concat([frame, frame[["mean radius", schema.LABEL]]], axis=1)
        assert problems_of(repeated) == [
            "column 'diagnosis': given twice",
            "column 'mean radius': given twice",
        ]

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_rejects_what_is_not_finite(self, frame, value):
        frame.loc[[7, 2], "worst texture"] = value
        assert problems_of(frame) == ["column 'worst texture': not a finite number in rows 2, 7"]

    def test_rejects_text_among_the_numbers(self, frame):
        frame["area error"] = frame["area error"].astype(object)
        frame.loc[1, "area error"] = "n/a"
        assert problems_of(frame) == ["column 'area error': not a finite number in row 1"]

    @pytest.mark.parametrize(
        ("column", "value", "highest"),
        [
            ("mean smoothness", 1.01, "1"),
            ("worst area", 6000.5, "6000"),
            ("concave points error", -0.001, "1"),
        ],
    )
    def test_rejects_values_out_of_range(self, frame, column, value, highest):
        frame.loc[4, column] = value
        assert problems_of(frame) == [f"column {column!r}: outside 0 to {highest} in row 4"]

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_the_ends_of_a_range_are_inside(self, frame, value):
        frame.loc[4, "mean smoothness"] = value
        validation.validate(frame)

    def test_shows_the_first_rows_and_counts_the_rest(self, frame):
        frame.loc[:11, "mean radius"] = -1.0
        assert problems_of(frame) == [
            "column 'mean radius': outside 0 to 50 in rows 0, 1, 2, 3, 4 and 7 more"
        ]

    @pytest.mark.parametrize("label", ["M", "", None, 1])
    def test_rejects_unknown_labels(self, frame, label):
        frame[schema.LABEL] = frame[schema.LABEL].astype(object)
        frame.loc[9, schema.LABEL] = label
        assert problems_of(frame) == ["column 'diagnosis': neither 'benign' nor 'malignant' in row 9"]

    def test_needs_enough_rows_of_each_label(self, frame):
        benign = frame[frame[schema.LABEL] == schema.BENIGN]
        assert problems_of(benign) == ["column 'diagnosis': 'malignant' in 0 rows, at least 20 are needed"]

    def test_needs_enough_rows(self, frame):
        few = frame.groupby(schema.LABEL).head(30)
        assert problems_of(few) == ["60 rows, at least 100 are needed"]

    def test_reports_every_problem_at_once(self, frame):
        frame.loc[0, "mean radius"] = np.nan
        frame.loc[1, "mean area"] = -1.0
        frame = frame.drop(columns="mean texture")
        assert len(problems_of(frame)) == 3


class TestSplit:
    def test_parts_are_disjoint_and_together_the_whole(self, raw):
        parts = data.split(raw, seed=7)
        assert sorted(row for part in parts for row in part.index) == list(raw.index)
        assert [len(part) for part in parts] == [342, 114, 113]

    @pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
    def test_each_part_has_the_same_share_of_malignant_rows(self, raw, seed):
        share = model.labels(raw).mean()
        for part in data.split(raw, seed=seed):
            assert model.labels(part).mean() == pytest.approx(share, abs=1 / len(part))

    def test_the_seed_decides_alone(self, raw):
        first, again, other = (data.split(raw, seed=seed) for seed in (7, 7, 8))
        for name in data.Split._fields:
            assert list(getattr(first, name).index) == list(getattr(again, name).index)
            assert set(getattr(first, name).index) != set(getattr(other, name).index)


class TestModel:
    def test_labels_are_one_for_malignant(self):
        frame = pd.DataFrame({schema.LABEL: [schema.MALIGNANT, schema.BENIGN, schema.MALIGNANT]})
        assert model.labels(frame).tolist() == [1, 0, 1]

    def test_probabilities_are_of_malignancy(self, raw):
        probabilities = model.malignancy(model.fit(raw, C=1.0), raw)
        labels = model.labels(raw)
        assert probabilities[labels == 1].mean() > 0.9
        assert probabilities[labels == 0].mean() < 0.1

    def test_the_same_rows_give_the_same_probabilities(self, raw):
        first, again = (model.malignancy(model.fit(raw, C=1.0), raw) for _ in range(2))
        assert first.tobytes() == again.tobytes()

    def test_stronger_regularisation_is_less_certain(self, raw):
        weak, strong = (model.malignancy(model.fit(raw, C=C), raw) for C in (1.0, 0.001))
        assert np.abs(strong - 0.5).mean() < np.abs(weak - 0.5).mean()

    def test_columns_are_taken_by_name(self, raw):
        classifier = model.fit(raw, C=1.0)
        reversed_columns = raw[raw.columns[::-1]]
        assert model.validation_loss(classifier, reversed_columns) == model.validation_loss(classifier, raw)


class TestEvaluation:
    def test_known_predictions(self):
        labels = np.array([1, 1, 0, 0])
        probabilities = np.array([0.9, 0.4, 0.6, 0.2])
        measured = evaluation.metrics(labels, probabilities)
        assert measured == {
            "accuracy": 0.5,
            "roc_auc": 0.75,  # 3 of the 4 pairs are in order
            "log_loss": pytest.approx(-np.log([0.9, 0.4, 0.4, 0.8]).mean()),
            "calibration_error": pytest.approx((0.1 + 0.6 + 0.6 + 0.2) / 4),
        }
        assert {type(value) for value in measured.values()} == {float}

    def test_a_half_counts_as_malignant(self):
        assert evaluation.metrics(np.array([1, 0]), np.array([0.5, 0.4]))["accuracy"] == 1.0

    def test_calibration_error_by_hand(self):
        # Two bins: [0, 0.5) with mean 0.2 and 1 of 2 true, [0.5, 1] with mean 0.8 and 2 of 3 true.
        labels = np.array([0, 1, 1, 1, 0])
        probabilities = np.array([0.1, 0.3, 0.7, 0.8, 0.9])
        expected = 2 / 5 * abs(0.2 - 1 / 2) + 3 / 5 * abs(0.8 - 2 / 3)
        assert evaluation.expected_calibration_error(labels, probabilities, bins=2) == pytest.approx(expected)

    def test_calibrated_probabilities_have_no_error(self):
        labels = np.array([1, 0, 0, 0, 1, 1, 1, 0])
        probabilities = np.array([0.25] * 4 + [0.75] * 4)
        assert evaluation.expected_calibration_error(labels, probabilities) == pytest.approx(0.0)

    def test_certain_and_wrong_is_an_error_of_one(self):
        assert evaluation.expected_calibration_error(np.array([0, 1]), np.array([1.0, 0.0])) == 1.0


class TestGates:
    """harness.toml's gates, held against models of this pipeline."""

    def verdicts(self, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, str | None]:
        configuration = config.parse((REPOSITORY / "harness.toml").read_text(), origin="harness.toml")
        assert configuration is not None
        probabilities = model.malignancy(model.fit(train, C=1.0), test)
        measured = evaluation.metrics(model.labels(test), probabilities)
        results = metrics.judge(measured, configuration.tests["breast_cancer"].gates)
        return {name: result.verdict for name, result in results.items()}

    @pytest.mark.parametrize("seed", [0, 7, 39])
    def test_pass_an_honest_model(self, raw, seed):
        parts = data.split(raw, seed=seed)
        assert set(self.verdicts(parts.train, parts.test).values()) == {"passed"}

    def test_each_fails_a_model_of_shuffled_labels(self, raw):
        parts = data.split(raw, seed=7)
        shuffled = parts.train[schema.LABEL].sample(frac=1, random_state=7).to_numpy()
        verdicts = self.verdicts(parts.train.assign(**{schema.LABEL: shuffled}), parts.test)
        assert set(verdicts.values()) == {"failed"}

    def test_accuracy_fails_a_model_of_a_single_measurement(self, raw):
        parts = data.split(raw, seed=7)
        others = [column for column in schema.FEATURES if column != "mean texture"]
        train, test = (part.assign(**dict.fromkeys(others, 0.0)) for part in (parts.train, parts.test))
        assert self.verdicts(train, test)["accuracy"] == "failed"


class TestArtifacts:
    @pytest.fixture
    def context(self):
        return {
            "dag": SimpleNamespace(dag_id="breast_cancer"),
            "run_id": "manual__2026-01-01T00:00:00+00:00",
        }

    @pytest.mark.parametrize("base", ["s3://store@bucket/prefix", "s3://store@bucket/prefix/"])
    def test_urls_are_per_run_and_keep_the_connection(self, monkeypatch, context, base):
        monkeypatch.setenv("HARNESS_ARTIFACTS_URL", base)
        assert (
            artifacts.url_for("raw.csv", context)
            == "s3://store@bucket/prefix/breast_cancer/manual__2026-01-01T00:00:00+00:00/raw.csv"
        )

    def test_says_what_is_missing(self, monkeypatch, context):
        monkeypatch.delenv("HARNESS_ARTIFACTS_URL", raising=False)
        with pytest.raises(RuntimeError, match="HARNESS_ARTIFACTS_URL is not set"):
            artifacts.url_for("raw.csv", context)
