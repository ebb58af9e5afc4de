"""A kind node image from Go modules and Debian packages alone."""
