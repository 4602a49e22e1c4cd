"""Which files are videos, and what is known about them before they are opened."""
