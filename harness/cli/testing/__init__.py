"""Commands that test versions, compare them, and look at what came of it."""
