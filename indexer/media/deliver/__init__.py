"""Playing, cutting and writing media files."""
