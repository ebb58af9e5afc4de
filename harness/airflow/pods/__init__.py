"""Task pods and nodes as the cluster tells of them. Why a pod is in trouble belongs to `autopsy`."""
