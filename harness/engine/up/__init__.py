"""`harness up`: where a cluster comes from, the cluster itself, and what a project's versions will need."""
