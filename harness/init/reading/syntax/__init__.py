"""Python itself: what is newer than the one which reads it, what its functions make of known values, and what runs."""
