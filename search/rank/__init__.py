"""Fusion: one ranking of moments from hits of several modalities.

The score of a moment is the sum of its modalities' best evidence, by weighted reciprocal rank fusion (Cormack, Clarke
and Buettcher, SIGIR 2009), which makes ranks comparable between models whose cosines are not::

    evidence = weight * strength / (60 + rank) + weight * lexical^2 * distinctness / (60 + lexical rank)

Ranks alone cannot tell good evidence from the best of a bad lot: in a library with three subtitles, one of them is
first for every query. So a rank by meaning counts as much as its own cosine is worth: ``strength`` in [0, 1] is
calibrated for each model family (``search.match.calibration``), and a hit of strength 0 is dropped. The second summand
ranks the texts by the words found in them (``search.match.lexical``). The score is squared, because half of the words
are much less than half of the phrase; ``distinctness`` is low for a short query, which may be said by accident. So an
exact phrase that is also near in meaning is worth more than any picture, and a common word, whose mean rank is low,
next to nothing.

``fusion`` holds the formula, ``merging`` joins hits to moments, ``listing`` lists the moments page by page.
"""
