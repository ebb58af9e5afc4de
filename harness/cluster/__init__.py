"""The Kubernetes cluster and what all versions on it share."""
