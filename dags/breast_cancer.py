"""### Breast cancer classifier

Trains a classifier of tumours on the Wisconsin diagnostic data set (569 rows, 30 measurements) and
reports how good it is on rows it has never seen.

`ingest` → `validate` → `split` → `train` (one task per candidate) → `evaluate`

* **Parameter** `seed`: which rows go to which part. The same seed gives the same metrics.
* **Artifacts**: below `HARNESS_ARTIFACTS_URL` (`file:///opt/airflow/artifacts`, `s3://bucket/prefix`),
  in a folder per DAG run. Tasks hand each other URLs.
* **Metrics**: what `evaluate` returns: `accuracy`, `roc_auc`, `log_loss`, `calibration_error`.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

# breast_cancer_pipeline needs pandas and scikit-learn, so each task imports what it uses: parsing this
# file stays quick, and so does the start of a task's pod.

LARGEST_SEED = 2**32 - 1
CANDIDATES = [{"C": 0.01}, {"C": 0.1}, {"C": 1.0}]  # inverse strength of regularisation

log = logging.getLogger(__name__)


@dag(
    dag_id="breast_cancer",
    schedule=None,
    params={
        "seed": Param(7, type="integer", minimum=0, maximum=LARGEST_SEED, description="Seed of the split"),
    },
    tags=["example", "ml"],
    doc_md=__doc__,
)
def breast_cancer() -> None:
    @task
    def ingest() -> str:
        """Put the raw data where the other tasks can read it; returns its URL."""
        from breast_cancer_pipeline import artifacts, data

        return artifacts.write_frame(data.load_raw(), artifacts.url_for("raw.csv", get_current_context()))

    @task
    def validate(raw: str) -> str:
        """Fail on data that must not be trained on; returns the URL of the data that passed."""
        from breast_cancer_pipeline import artifacts, validation

        validation.validate(artifacts.read_frame(raw))
        return raw

    @task(multiple_outputs=True)
    def split(validated: str) -> dict[str, str]:
        """Split into train, validation and test rows; returns the URL of each part."""
        from breast_cancer_pipeline import artifacts, data

        context = get_current_context()
        parts = data.split(artifacts.read_frame(validated), seed=context["params"]["seed"])
        return {
            name: artifacts.write_frame(part, artifacts.url_for(f"{name}.csv", context))
            for name, part in parts._asdict().items()
        }

    @task(multiple_outputs=False, map_index_template="C = {{ regularization }}")
    def train(hyperparameters: dict[str, float], train: str, validation: str) -> dict[str, Any]:
        """Fit one candidate; returns its URL, its hyperparameters and its loss on the validation rows."""
        from breast_cancer_pipeline import artifacts, model

        context = get_current_context()
        context["regularization"] = hyperparameters["C"]  # type: ignore[typeddict-unknown-key]
        classifier = model.fit(artifacts.read_frame(train), **hyperparameters)
        loss = model.validation_loss(classifier, artifacts.read_frame(validation))
        name = f"model-C{hyperparameters['C']:g}.joblib"
        url = artifacts.write_model(classifier, artifacts.url_for(name, context))
        return {"model": url, "hyperparameters": hyperparameters, "validation_log_loss": loss}

    @task(multiple_outputs=False)
    def evaluate(candidates: list[dict[str, Any]], test: str) -> dict[str, float]:
        """Choose the candidate with the lowest validation loss; returns its metrics on the test rows."""
        from breast_cancer_pipeline import artifacts, evaluation, model

        fitted = candidates[:]  # one request for all; iterating asks for one after the other until a 404
        best = min(fitted, key=lambda candidate: candidate["validation_log_loss"])
        log.info("chose %s of %d candidates", best, len(fitted))
        get_current_context()["ti"].xcom_push("chosen", best)
        rows = artifacts.read_frame(test)
        probabilities = model.malignancy(artifacts.read_model(best["model"]), rows)
        return evaluation.metrics(model.labels(rows), probabilities)

    parts = split(validate(ingest()))
    candidates = train.partial(train=parts["train"], validation=parts["validation"]).expand(
        hyperparameters=CANDIDATES
    )
    evaluate(candidates, parts["test"])


breast_cancer()
