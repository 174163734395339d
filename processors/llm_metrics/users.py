"""What users cost, for those who ask for it: a sample of all users, and a table of the most expensive ones.

Invariants
- A user appears by a pseudonym that `redaction` gave, or not at all: what does not look like one is left out and
  counted. A hash made here would need no key, and a hash of an address without a key is as good as the address.
- The number of series does not follow the number of users: the sample has the limit of the label `user`, the table has
  `top` rows for each environment and data mode.
- The sample is chosen by the pseudonym alone: every replica, and every restart, chooses the same users.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from processors import semconv
from processors.llm_metrics.bindings import Binding
from processors.llm_metrics.catalogue import ATTO, TOP_USER_COST, USER_COST
from processors.llm_metrics.config import UserCosts
from processors.llm_metrics.labels import LabelValues, clean
from processors.llm_metrics.memory import Memory
from processors.llm_metrics.money import atto_usd
from processors.llm_metrics.series import Book, Values
from processors.llm_metrics.spenders import Spenders
from processors.stats import Stats

LEFT_OUT: Final = "otelcol_llm_metrics_users_left_out_total"

_PSEUDONYM: Final = re.compile(r"user_([0-9a-f]{16})")
"""What `redaction` writes in place of who it is."""
_ALL: Final = 1 << 64
_ROOM: Final = 20
"""Users counted for each one that is told: whoever has a `20 * top`-th of all spend is sure to be among them."""
_MAX_NAMES: Final = 16_384

Group = tuple[str, str]
"""Environment and data mode."""


class Users:
    """Adds up what users cost."""

    def __init__(self, config: UserCosts, book: Book, labels: LabelValues, stats: Stats) -> None:
        self._top = config.top
        self._window_ns = config.window
        self._chosen = round(config.sample * _ALL)
        self._book = book
        self._labels = labels
        self._stats = stats
        self._names: Memory[Any, tuple[str, bool]] = Memory(_MAX_NAMES, self._name)
        self._spenders: dict[Group, Spenders] = {}
        self._told: dict[Values, int] = {}
        self._period = 0
        stats.from_zero(LEFT_OUT)

    @property
    def wanted(self) -> bool:
        """Whether anybody asked for users."""
        return self._top > 0 or self._chosen > 0

    def spend(self, binding: Binding, raw: Any, usd: float) -> None:
        """Add what a call cost to its user; `raw` is the user as it stands."""
        name, sampled = self._names[raw if isinstance(raw, bytes | str) else None]
        if not name:
            if clean(raw):
                self._stats.counters[LEFT_OUT,] += 1
            return
        cost = atto_usd(usd)
        group = (binding.labels["environment"], binding.labels["data_mode"])
        if sampled:
            self._book.one(USER_COST, *group, self._labels.admit("user", name)).value += cost
        if self._top:
            self._turn()
            if group not in self._spenders:
                self._spenders[group] = Spenders(_ROOM * self._top)
            self._spenders[group].add(name, cost)

    def tell(self) -> None:
        """Set the rows of the tables; take away those of users who are no longer in them."""
        self._turn()
        rows: dict[Values, int] = {
            (*group, name): spent
            for group, spenders in self._spenders.items()
            for name, spent in spenders.top(self._top)
        }
        family = self._book[TOP_USER_COST]
        rows = dict(islice(rows.items(), family.limit))  # one under `other` would be nobody's
        for gone in self._told.keys() - rows.keys():
            family.withdraw(gone)
        for values, spent in rows.items():
            if self._told.get(values) != spent:
                self._book.one(TOP_USER_COST, *values).keep(spent / ATTO)
        self._told = rows

    def adopt(self, predecessor: Users) -> None:
        """Go on with the sums of another one, as far as they fit."""
        self._told = predecessor._told
        if (predecessor._top, predecessor._window_ns) == (self._top, self._window_ns):
            self._spenders, self._period = predecessor._spenders, predecessor._period

    def _turn(self) -> None:
        """Begin new tables when a new window has begun."""
        period = self._book.now_ns // self._window_ns
        if period != self._period:
            self._period = period
            self._spenders.clear()

    def _name(self, raw: bytes | str | None) -> tuple[str, bool]:
        """Return a pseudonym, empty where there is none, and whether it is in the sample."""
        found = _PSEUDONYM.fullmatch(clean(raw))
        if found is None:
            return "", False
        return found[0], int(found[1], 16) < self._chosen


def user_of(attributes: Mapping[str, Any], edits: Mapping[str, Any]) -> Any:
    """Return the user of an item as it stands; None where there is none."""
    if semconv.USER_ID in edits:
        return edits[semconv.USER_ID]
    return attributes[semconv.USER_ID] if semconv.USER_ID in attributes else None
