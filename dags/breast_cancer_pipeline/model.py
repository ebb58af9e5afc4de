"""The classifier: logistic regression on standardised measurements."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from breast_cancer_pipeline.schema import FEATURES, LABEL, MALIGNANT

MAX_ITERATIONS = 2000


def labels(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """1 for each malignant row, else 0."""
    return np.asarray(frame[LABEL] == MALIGNANT, dtype=np.int64)


def fit(
    frame: pd.DataFrame,
    *,
    C: float,  # noqa: N803  scikit-learn's name
) -> Pipeline:
    """Fit on all rows of `frame`; `C` is the inverse strength of the regularisation.

    One thread: the order of floating-point sums, and so the model, is the same however many cores there are.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=MAX_ITERATIONS))
    with threadpool_limits(limits=1):
        return classifier.fit(frame[list(FEATURES)], labels(frame))


def malignancy(classifier: Pipeline, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The probability of a malignant tumour, for each row."""
    with threadpool_limits(limits=1):
        probabilities: npt.NDArray[np.float64] = classifier.predict_proba(frame[list(FEATURES)])[:, 1]
    return probabilities


def validation_loss(classifier: Pipeline, frame: pd.DataFrame) -> float:
    """Log loss on `frame`: what candidates are compared by."""
    return float(log_loss(labels(frame), malignancy(classifier, frame), labels=[0, 1]))
