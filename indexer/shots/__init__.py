"""Shots, and the keyframes that stand for them, in one pass over a video's frames."""
