"""Text on screen: which frames are read, and what their lines say over time."""
