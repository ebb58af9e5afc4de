"""From what a team writes down to `harness.lock`: every package at one version, each file by its hash."""
