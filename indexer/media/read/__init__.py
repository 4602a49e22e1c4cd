"""Reading media files."""
