"""What is known of the noise of metrics, and the command that tells it."""
