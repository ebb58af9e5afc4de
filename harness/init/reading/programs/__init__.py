"""Where code finds more code of its repository: by commands of a shell, by names in texts, on its import path."""
