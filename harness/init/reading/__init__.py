"""What a repository's files tell, each module one kind of it; none of it is run."""
