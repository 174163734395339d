"""Tells words from random letters by how often letters follow each other in English technical prose.

The table was counted over the documentation strings of the Python 3.11 standard library (1.35 million pairs): for each
pair of `a`-`z` and space, -8 ln(probability of the second after the first). Random letters average far below words.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import exp
from typing import Final

_LETTERS: Final = {char: place for place, char in enumerate("abcdefghijklmnopqrstuvwxyz ")}
_COST: Final = tuple(
    bytes.fromhex(row)
    for row in (
        "401e18193c2b1f3f1b4228111810441f4412141021252d2c233d13",
        "152d1d290b3335391b1339112b2c1827381e1d271339392d112f1d",
        "113e212f11303313174318172e320d2a341b270f1b383c3e2c431a",
        "192d241c0b3034351239361f3431182f3f201b2b1b35363b294308",
        "1b301715222027342a40391e1f132e212711131635262a1c293f0a",
        "1536232d1a1b353a0d403f2033340d303a162c21173a2e3628400a",
        "202f2d300d321f1d133b381d281c242f3c1b182614303339392e08",
        "113d3c3805384038123f41302f32143a40222f222b413a41334112",
        "2121191f1d17214233432b15190b13213c1e0f12411e472747242c",
        "1d2c2b2b042b2b2c2928262c2b2a19292b2b182b132c2c2c2b2c17",
        "17322923082c26301432321d2e1e2920312c1428232e1f322f320c",
        "142a2d1c0b22363711433712362e1428412a1b1919322e3e193911",
        "0d1a392d09343d37194036231a301412403421281d3c393f2d3f14",
        "17361712142412361e3f29252f2517293b33161022253b3f273c0c",
        "291c1b16291625422844261f170d211a470e1d181822202f3d3d12",
        "0f35272a0f2f36291a403512353112183f1123141c27323a1a4017",
        "292a29262b2a2b292b2b2b232a222b272b242029022b2b292a2b1e",
        "143022200b251d3c144128281e17152c471c18191e272a3a1e450e",
        "1f3c21330f2c302017412d292c2c1c1b3732150f1b333340234408",
        "1839252c102e3f0b134440242e3414263f171a2018412a3521400e",
        "211e1f25132525411e413f1114112718410d12112e40413a414123",
        "0b362b3505343636123737352c282132373029343534353637371e",
        "1232302d1532350e0a393823351d142f39151b2e3838282e393715",
        "142a122a14263129143434261b2d2c153327280a3030331d232c10",
        "2f2f27281f2b2b341e393724221e1a1339281612342f21382f3305",
        "1728262805232929102929261f281b282928282229292929242619",
        "121b181c1d18262314342e1f1c1d171c331c171121261c322f360f",
    )
)
_LEAST: Final = 0.0165
"""Geometric mean of the pairs' probabilities below which letters are no word."""


@lru_cache(maxsize=8192)
def is_word(text: str) -> bool:
    """Say whether the letters of a text follow each other as in words. Fewer than two letters always do."""
    letters = [_LETTERS[char] for char in text.lower() if char in _LETTERS]
    if len(letters) < 2:
        return True
    cost = sum(_COST[first][second] for first, second in pairwise(letters))
    return exp(-cost / 8 / (len(letters) - 1)) > _LEAST
