"""Commands that prepare the user's own repository."""
