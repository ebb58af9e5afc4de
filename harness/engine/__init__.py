"""The commands as ordered steps: up, test, down, and the looks in between."""
