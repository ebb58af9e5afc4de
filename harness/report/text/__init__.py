"""For people at a terminal: the one place that prints, results, errors, the doctor's report, the status."""
