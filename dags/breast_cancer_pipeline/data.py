"""Where the data comes from, and how it is split."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from breast_cancer_pipeline.schema import LABEL

VALIDATION_FRACTION = 0.2
TEST_FRACTION = 0.2


class Split(NamedTuple):
    """Three parts of the rows, none in two of them."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def load_raw() -> pd.DataFrame:
    """The data set that scikit-learn carries: 30 measurements and the diagnosis in words."""
    from sklearn.datasets import load_breast_cancer  # seconds that only this function is worth

    bunch = load_breast_cancer(as_frame=True)
    names = dict(enumerate(bunch.target_names))
    return bunch.data.assign(**{LABEL: bunch.target.map(names)})


def split(frame: pd.DataFrame, *, seed: int) -> Split:
    """Split 60 : 20 : 20 with the same share of malignant rows in each part.

    `frame` has a unique index. The same rows and seed (0 to 2^32 - 1) give the same parts.
    """
    test = frame.groupby(LABEL).sample(frac=TEST_FRACTION, random_state=seed)
    rest = frame.drop(test.index)
    validation = rest.groupby(LABEL).sample(frac=VALIDATION_FRACTION / (1 - TEST_FRACTION), random_state=seed)
    return Split(rest.drop(validation.index), validation, test)
