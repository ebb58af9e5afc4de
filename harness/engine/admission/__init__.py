"""Whose turn it is: the room on a cluster, and the order in which versions enter."""
