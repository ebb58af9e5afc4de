"""Commands about this machine and its clusters."""
