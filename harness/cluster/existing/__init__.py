"""Clusters that harness did not make: the contexts that the user allowed, and the way to their gateway."""
