"""An image of the team's own, by its name or as a Dockerfile makes it, as the base of versions.

Docker builds, pulls and saves it; what it holds is asked of its own Python, in a container without a network.
"""
