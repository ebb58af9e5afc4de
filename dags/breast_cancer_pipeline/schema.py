"""The columns of the data set and the values of its label."""

from __future__ import annotations

MEASUREMENTS = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
# Per image: the mean over all nuclei, its standard error, and the mean of the three largest.
FEATURES = (
    *(f"mean {name}" for name in MEASUREMENTS),
    *(f"{name} error" for name in MEASUREMENTS),
    *(f"worst {name}" for name in MEASUREMENTS),
)
LABEL = "diagnosis"
BENIGN, MALIGNANT = "benign", "malignant"
