"""What matches a query: records by meaning and by words, and the conditions on them."""
