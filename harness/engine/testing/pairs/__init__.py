"""Pairs of runs of a version and its base: which are needed, and how they are run side by side."""
