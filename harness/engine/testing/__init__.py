"""`harness test` and `harness diff`: what is asked for, each version's test, and what is kept of it."""
