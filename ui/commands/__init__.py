"""One module per group of commands: each takes a context and a request, and prints."""
