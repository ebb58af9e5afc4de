"""What data must be like before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from breast_cancer_pipeline.schema import BENIGN, FEATURES, LABEL, MALIGNANT

# Generous physical bounds of a cell nucleus, in the data's units: they catch a shifted column or a
# changed unit, not an unusual tumour.
HIGHEST = {
    "radius": 50.0,
    "texture": 60.0,
    "perimeter": 350.0,
    "area": 6000.0,
    "smoothness": 1.0,
    "compactness": 2.0,
    "concavity": 2.0,
    "concave points": 1.0,
    "symmetry": 1.0,
    "fractal dimension": 1.0,
}
MINIMUM_ROWS = 100
MINIMUM_ROWS_PER_LABEL = 20
ROWS_SHOWN = 5


class InvalidDataError(ValueError):
    """The data broke rules; the message names each column and the rows."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join([f"the data has {len(problems)} problem(s):", *problems]))
        self.problems = problems


def validate(frame: pd.DataFrame) -> None:
    """Check columns, types, ranges and labels. Raises InvalidDataError with every problem found.

    Rows are counted from 0, without the header.
    """
    problems = list(_column_problems(frame))
    frame = frame.loc[:, ~frame.columns.duplicated()]
    for column in FEATURES:
        if column in frame:
            problems += _feature_problems(frame[column].reset_index(drop=True), column)
    if LABEL in frame:
        problems += _label_problems(frame[LABEL].reset_index(drop=True))
    if len(frame) < MINIMUM_ROWS:
        problems.append(f"{len(frame)} rows, at least {MINIMUM_ROWS} are needed")
    if problems:
        raise InvalidDataError(problems)


def _column_problems(frame: pd.DataFrame) -> Iterator[str]:
    expected = {*FEATURES, LABEL}
    for column in sorted(expected - set(frame.columns)):
        yield f"column {column!r}: missing"
    for column in sorted(set(frame.columns) - expected):
        yield f"column {column!r}: unexpected"
    for column in sorted(set(frame.columns[frame.columns.duplicated()])):
        yield f"column {column!r}: given twice"


def _feature_problems(values: pd.Series, column: str) -> Iterator[str]:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    unusable = ~np.isfinite(numbers)
    if unusable.any():
        yield f"column {column!r}: not a finite number in {_rows(unusable)}"
    highest = HIGHEST[column.removeprefix("mean ").removeprefix("worst ").removesuffix(" error")]
    outside = ~unusable & ((numbers < 0) | (numbers > highest))
    if outside.any():
        yield f"column {column!r}: outside 0 to {highest:g} in {_rows(outside)}"


def _label_problems(labels: pd.Series) -> Iterator[str]:
    unknown = ~labels.isin([BENIGN, MALIGNANT])
    if unknown.any():
        yield f"column {LABEL!r}: neither {BENIGN!r} nor {MALIGNANT!r} in {_rows(unknown)}"
    for label in (BENIGN, MALIGNANT):
        count = int((labels == label).sum())
        if count < MINIMUM_ROWS_PER_LABEL:
            yield f"column {LABEL!r}: {label!r} in {count} rows, at least {MINIMUM_ROWS_PER_LABEL} are needed"


def _rows(mask: pd.Series) -> str:
    rows = [int(row) for row in np.flatnonzero(mask)]
    more = f" and {len(rows) - ROWS_SHOWN} more" if len(rows) > ROWS_SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:ROWS_SHOWN]))}{more}"
