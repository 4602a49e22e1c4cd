"""How hits become ranked moments."""
