"""The comparison that the README shows, on less traffic: which way it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.kept_dollars import (
    SHARE,
    SPAN,
    SPANS,
    TRACE,
    TRACE_AND_SKELETONS,
    Rule,
    for_all_that_is_dear,
    for_equal_bytes,
    incoming,
    lines,
    replayed,
    requests,
    traffic,
)

pytestmark = [pytest.mark.e2e, pytest.mark.peer]


def test_at_equal_bytes_ours_stores_all_the_money(tmp_path: Path) -> None:
    theirs, ours = lines(500, (SPAN, TRACE_AND_SKELETONS), for_equal_bytes, tmp_path)
    assert ours.stored == pytest.approx(theirs.stored, rel=0.06)
    assert theirs.stored == pytest.approx(100 * SHARE, rel=0.06)
    for one in (theirs, ours):
        assert (one.errors, one.slow) == (100, 100)
    assert theirs.any_usd < 90
    assert ours.any_usd == pytest.approx(100)


def test_keeping_all_that_is_dear_takes_ours_fewer_bytes() -> None:
    sent = list(requests(traffic(500)))

    def needed(rule: Rule) -> float:
        fates = replayed(rule, for_all_that_is_dear(rule, sent), sent).fates.values()
        return sum(fate.stored_bytes for fate in fates) / incoming(sent)

    assert needed(TRACE) < 0.95 * min(needed(SPAN), needed(SPANS))
