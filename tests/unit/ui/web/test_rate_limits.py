"""How often a visitor may ask, and how many conversions run at a time."""

from __future__ import annotations

import pytest
from fastapi import HTTPException

from ui.web.rate_limits import ConversionLimit, RateLimit


def test_a_used_bucket_fills_again() -> None:
    now_s = [100.0]
    limit = RateLimit(4, 60.0, lambda: now_s[0])
    for _ in range(4):
        assert limit.wait_s("me") <= 0
        limit.count("me")
    assert (limit.wait_s("me"), limit.wait_s("me", 2)) == (15.0, 30.0)
    assert limit.wait_s("another") <= 0
    now_s[0] += 15.0
    assert limit.wait_s("me") <= 0 < limit.wait_s("me", 2)


def test_only_so_many_keys_are_remembered() -> None:
    limit = RateLimit(1, 60.0, lambda: 100.0, max_keys=5)
    for number in range(20):
        limit.count(str(number))
    assert len(limit) == 5
    assert limit.wait_s("0") <= 0 < limit.wait_s("19")


@pytest.mark.parametrize(("is_shared", "mine"), [(True, 2), (False, 4)])
def test_one_visitor_of_several_gets_half(is_shared: bool, mine: int) -> None:
    limit = ConversionLimit(4, is_shared=is_shared)
    slots = [limit.start("me") for _ in range(mine)]
    with pytest.raises(HTTPException) as refused:
        limit.start("me")
    assert refused.value.status_code == 503
    limit.end(slots[0])
    limit.end(slots[0])
    limit.start("me")
    with pytest.raises(HTTPException):
        limit.check("me")
