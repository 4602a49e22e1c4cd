"""What is written beside a video or inside it."""
