"""Python itself: what is newer than the one which reads it, and what its own functions make of known values."""
