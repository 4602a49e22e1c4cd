"""How good the search is: queries with known answers, runs, metrics, and what a difference between runs is worth."""
