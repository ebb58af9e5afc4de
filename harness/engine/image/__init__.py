"""What versions are made of, made ready before them: the lock, an image of the team's own, and its values."""
