"""A page and a Markdown file for people to look at, made of records, of the history and of the lock file."""
