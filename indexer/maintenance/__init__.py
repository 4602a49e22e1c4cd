"""Looking at an index, checking it, taking videos out."""
