"""The web page: the same search, library and evaluation as the command line, in a browser."""
