"""What is heard besides speech."""
