"""Task logs: kept while they are written, read, and freed of secrets."""
