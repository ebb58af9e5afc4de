"""The user's machine: what it can do, what it lacks, and the programs that are run on it."""
