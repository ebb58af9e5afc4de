"""Commands of their own size, which the command line takes in."""
