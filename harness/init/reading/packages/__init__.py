"""Which packages a repository asks for, as its files and its imports say."""
