"""Confidence: could a query that has no answer here have found something as good?

The best record of an index has some score for every query, also for one that nothing in the index answers, so a score
by itself says little. Therefore a bank of some four hundred unrelated queries is asked of the index with its own
models, and for each channel (a modality, searched by meaning or by words) the best score of every bank query is noted.
The **false-alarm rate** of a hit is the share of bank queries whose best score in its channel is at least as high. The
**confidence** of a moment is the probability that an unrelated query finds nothing as good in any channel::

    confidence = (1 - min(rate / credence)) ** tests

A search says "nothing found" if no moment reaches the least confidence asked for.

The formula is Sidak's (1967) for the best of several tests. ``credence`` says how much rather an answer is to be
expected in a channel (weighted tests: Genovese, Roeder and Wasserman, 2006). ``tests`` is the effective number of
independent channels (the idea of Cheverud, 2001), chosen so that half of the bank has a confidence of at least 1/2.

``bank`` asks the unrelated queries, ``background`` turns their scores into rates, ``background_cache`` keeps the
scores in a file (``background_file``), and ``rating`` rates the hits of one search.
"""
