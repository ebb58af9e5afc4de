"""How good probabilities are, given what was true."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

THRESHOLD = 0.5
CALIBRATION_BINS = 10


def metrics(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> dict[str, float]:
    """Accuracy at 0.5, area under the ROC curve, log loss, and expected calibration error.

    `labels` are 0 or 1, `probabilities` those of 1.
    """
    return {
        "accuracy": float(accuracy_score(labels, probabilities >= THRESHOLD)),
        "roc_auc": float(roc_auc_score(labels, probabilities)),
        "log_loss": float(log_loss(labels, probabilities, labels=[0, 1])),
        "calibration_error": expected_calibration_error(labels, probabilities),
    }


def expected_calibration_error(
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    *,
    bins: int = CALIBRATION_BINS,
) -> float:
    """How far probabilities are from observed frequencies, from 0 to 1.

    |mean probability - share of ones| in each of `bins` equal intervals of [0, 1], weighted by its rows.
    """
    bin_of_row = np.minimum((probabilities * bins).astype(int), bins - 1)  # 1.0 belongs to the last bin
    gaps = np.bincount(bin_of_row, weights=probabilities - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
