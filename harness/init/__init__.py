"""`harness init`: a repository is read, without running any of it, and its harness.toml is written."""
