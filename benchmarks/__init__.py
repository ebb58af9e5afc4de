"""Measurements of what is promised, run by hand: `python -m benchmarks.NAME`. README.md beside this has figures."""
