"""Python that is newer than the one which reads it."""
