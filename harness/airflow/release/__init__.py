"""A version's release on the cluster: made, standing by in advance, found again, and removed."""
