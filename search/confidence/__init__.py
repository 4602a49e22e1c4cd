"""How likely a hit is no answer at all."""
