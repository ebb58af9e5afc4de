"""Clusters that harness makes: kind, what it is told, and what a node is made from."""
