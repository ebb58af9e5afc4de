"""What versions share on a cluster: PostgreSQL with its databases and kept results, the gateway, and Helm."""
