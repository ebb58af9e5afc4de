"""Docker on this machine: the connection to it, its daemon, and whether it may do what kind needs."""
