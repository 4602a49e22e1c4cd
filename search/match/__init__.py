"""Matching: the records that fit a query, by meaning and by words, and within its conditions.

By meaning: the query is encoded once for each embedding space (``query_vectors``; ``reference_moment`` where a moment
takes the place of a text), and the nearest records are read deeper and deeper (``collect``) down to the cosine at which
unrelated pairs lie (``calibration``). By words: the store's full-text index gives the candidates (``word_search``), and
their texts are scored by the words they hold (``lexical``), also where a phrase runs from one record into the next
(``cross_segment``). ``conditions`` says what a hit must share time with and what it must not. ``word_by_word`` is a
second vector for a text, by which hits are rated and not found.
"""
