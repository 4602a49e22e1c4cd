"""Which objects are seen."""
