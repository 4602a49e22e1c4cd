"""What is asked: the query, the conditions on videos (``filters``), and how people type it (``syntax``)."""
