"""What a team's own image is: its Dockerfiles, compose files and `packages.txt`, and the services beside it."""
