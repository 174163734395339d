"""Paths without identifiers: `/users/12345/orders` becomes `/users/*/orders`.

A segment is an identifier when it holds anything but letters and `-_. ` (one other character in second place is
forgiven: `v1`, `k6`), or when its letters do not follow each other as in words. The query is cut off, and so is what
lies beyond ten segments. The rules are those of grafana/clusterurl 0.2, which contrib uses, with what is odd about
them: letters before a query need not be a word, and an identifier is marked twice where more than ten segments follow.
`words` has our own table of letter pairs, so a made-up word may be judged differently.
"""

from __future__ import annotations

import re
from typing import Final

from processors.redaction.sanitizers.words import is_word

_MAX_SEGMENTS: Final = 10
_QUERY: Final = re.compile("[?&#]")
_PLAIN: Final = re.compile(r"[A-Za-z\-_. ](?:[\x00-\x7f][A-Za-z\-_. ]*)?|")


def cluster(path: str) -> str:
    """Return the path with identifiers replaced by `*`."""
    head, *query = _QUERY.split(path, maxsplit=1)
    segments = head.split("/")
    kept = [segment if _is_name(segment) else "*" for segment in segments[:_MAX_SEGMENTS]]
    last = segments[len(kept) - 1]
    if len(segments) > _MAX_SEGMENTS:
        kept[-1] = _cut_off(last)
    elif query and _PLAIN.fullmatch(last):
        kept[-1] = last
    return "/".join(kept)


def _cut_off(last: str) -> str:
    """Return the segment behind which the rest is cut off. What is no name is looked at twice there."""
    if _is_name(last):
        return last
    return "*" + (last[1:] if _PLAIN.fullmatch(last) and is_word(last[1:]) else "*")


def _is_name(segment: str) -> bool:
    return not segment or (_PLAIN.fullmatch(segment) is not None and is_word(segment))
