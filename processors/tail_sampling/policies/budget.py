"""`tenant_budget`: how much of each tenant's traces is stored an hour, in bytes or money.

A bucket for every tenant and limit starts full and is refilled continuously. Admission asks whether anything is left;
then the whole trace is charged, so that a trace larger than the bucket passes when nothing is owed, and what is stored
in any time t is at most capacity + rate·t + one trace. Charged is what is really stored, after the verdict.

A ceiling lowers verdicts to keep: to a skeleton, or to nothing. An allowance votes to keep while the budget lasts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from processors.errors import InvalidConfig
from processors.tail_sampling.calls import add_up
from processors.tail_sampling.policies.base import Desk, Policy, Settings
from processors.tail_sampling.policies.limits import Bucket
from processors.tail_sampling.root import local_root
from processors.tail_sampling.skeleton import skeleton
from processors.tail_sampling.traces import Trace, text_value
from processors.tail_sampling.verdict import ABSTAIN, Ballot, Verdict, Vote
from processors.views import PARSE

_HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Limits:
    """An hour's amounts; None is no limit."""

    size: float | None
    usd: float | None


class Account:
    """One tenant's buckets."""

    __slots__ = ("_size", "_usd", "tenant")

    def __init__(self, tenant: str, limits: Limits) -> None:
        self.tenant = tenant
        self._size = _bucket(limits.size)
        self._usd = _bucket(limits.usd)

    def has_room(self, now_ns: int) -> bool:
        return all(bucket.level(now_ns) > 0 for bucket in self._buckets())

    def charge(self, size: int, usd: float) -> None:
        if self._size is not None:
            self._size.spend(size)
        if self._usd is not None:
            self._usd.spend(usd)

    def share(self, now_ns: int) -> float:
        """Return how full it is, by the emptier bucket."""
        for bucket in self._buckets():
            bucket.level(now_ns)
        return min((bucket.share for bucket in self._buckets()), default=1.0)

    def state(self) -> bytes:
        """Return what is left, for `recall`."""
        return json.dumps([bucket and bucket.state for bucket in (self._size, self._usd)]).encode()

    def recall(self, state: bytes) -> None:
        """Have left what was left then."""
        for bucket, left in zip((self._size, self._usd), json.loads(state), strict=True):
            if bucket is not None and left is not None:
                bucket.recall(tuple(left))

    def inherit(self, predecessor: Account) -> None:
        """Owe what another owed."""
        if self._size is not None and predecessor._size is not None:
            self._size.inherit(predecessor._size)
        if self._usd is not None and predecessor._usd is not None:
            self._usd.inherit(predecessor._usd)

    def _buckets(self) -> list[Bucket]:
        return [bucket for bucket in (self._size, self._usd) if bucket is not None]


def _bucket(an_hour: float | None) -> Bucket | None:
    return None if an_hour is None else Bucket(an_hour / _HOUR_S, an_hour)


class Accounts:
    """The accounts of all tenants, the most that are remembered."""

    def __init__(self, limits: Limits, overrides: Mapping[str, Limits], most: int) -> None:
        self._limits = limits
        self._overrides = overrides
        self._most = most
        self._accounts: dict[str, Account] = {}
        self._changed: dict[str, Account | None] = {}

    def of(self, tenant: str, now_ns: int) -> Account:
        """Return a tenant's account; one that is full is as good as none and may be forgotten."""
        account = self._accounts.get(tenant)
        if account is None:
            if len(self._accounts) >= self._most:
                self._forget(now_ns)
            account = self._open(tenant)
        return account

    def _open(self, tenant: str) -> Account:
        account = Account(tenant, self._overrides.get(tenant, self._limits))
        self._accounts[tenant] = account
        return account

    def charged(self, account: Account) -> None:
        """Note that something was taken out of an account."""
        self._changed[account.tenant] = account

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        changed, self._changed = self._changed, {}
        return [
            (tenant, account.state() if account is not None else None)
            for tenant, account in changed.items()
        ]

    def recall(self, states: Iterable[tuple[str, bytes]]) -> None:
        for tenant, state in states:
            self._open(tenant).recall(state)

    def _forget(self, now_ns: int) -> None:
        """Forget all full accounts, else the one nearest to full."""
        shares = {tenant: account.share(now_ns) for tenant, account in self._accounts.items()}
        fullest = max(shares.values())
        gone = [tenant for tenant, share in shares.items() if share >= fullest]
        for tenant in gone if fullest >= 1 else gone[:1]:
            del self._accounts[tenant]
            self._changed[tenant] = None

    def inherit(self, predecessor: Accounts) -> None:
        """Owe what others owed."""
        for tenant, account in predecessor._accounts.items():
            self._open(tenant).inherit(account)


class Budget:
    """What both modes share: whose trace it is, and what it costs."""

    stateful = True
    certain = False

    def __init__(self, key: str, accounts: Accounts, largest_value: int) -> None:
        self._key = key
        self._accounts = accounts
        self._largest_value = largest_value

    def account(self, trace: Trace, now_ns: int) -> Account:
        return self._accounts.of(self._tenant(trace), now_ns)

    def charge(self, account: Account, trace: Trace, verdict: Verdict) -> None:
        """Charge what is stored of a kept trace."""
        usd = add_up(trace.calls.priced) if trace.calls is not None else 0.0
        account.charge(self._stored_size(trace, verdict), usd)
        self._accounts.charged(account)

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        return self._accounts.changes()

    def recall(self, states: Iterable[tuple[str, bytes]]) -> None:
        self._accounts.recall(states)

    def inherit(self, predecessor: Policy) -> None:
        if isinstance(predecessor, Budget):
            self._accounts.inherit(predecessor._accounts)

    def _tenant(self, trace: Trace) -> str:
        """Return whose trace it is: by its local root, else by the first span that says, else by its resource."""
        tenants = trace.values_of(self._key)
        if len(tenants) < 2:
            return tenants[0] if tenants else ""
        held = list(trace.held())
        root = held[local_root([span for _, span in held])][1]
        of_root = text_value(PARSE["Span"](root).attributes.get(self._key))
        return of_root or tenants[0]

    def _stored_size(self, trace: Trace, verdict: Verdict) -> int:
        if verdict.tier == "full":
            return trace.size
        return sum(len(skeleton(span, self._largest_value)) for _, span in trace.held())


class TenantCeiling(Budget):
    """Lowers what is kept of tenants without budget."""

    def __init__(
        self,
        key: str,
        accounts: Accounts,
        largest_value: int,
        to_skeleton: bool,
        exempt: Collection[str],
    ) -> None:
        """`exempt`: policies whose votes to keep pass over the ceiling; their traces are charged all the same."""
        super().__init__(key, accounts, largest_value)
        self._to_skeleton = to_skeleton
        self._exempt = frozenset(exempt)

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        return ABSTAIN

    def cap(self, trace: Trace, now_ns: int, verdict: Verdict) -> Verdict:
        """Return the verdict, or a lower one."""
        if not verdict.kept or not self._exempt.isdisjoint(verdict.voters):
            return verdict
        if self.account(trace, now_ns).has_room(now_ns):
            return verdict
        if not self._to_skeleton:
            return Verdict(kept=False, policy=verdict.policy, reason="budget")
        return replace(verdict, tier="skeleton", budget_made=True)

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        if verdict.kept and not verdict.budget_made:
            account = self.account(trace, now_ns)
            self.charge(account, trace, verdict)


class TenantAllowance(Budget):
    """Keeps traces of tenants that have budget left."""

    def __init__(self, key: str, accounts: Accounts, largest_value: int) -> None:
        super().__init__(key, accounts, largest_value)
        self._keep = Vote(Ballot.KEEP, "budget", None)
        self._asked: Account | None = None

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        account = self.account(trace, now_ns)
        if not account.has_room(now_ns):
            return ABSTAIN
        self._asked = account
        return self._keep

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        if self._asked is not None and verdict.kept:
            self.charge(self._asked, trace, verdict)
        self._asked = None


def tenant_budget(settings: Settings, desk: Desk) -> Policy:
    """Build `tenant_budget`."""
    limits = _limits(settings)
    if limits == Limits(None, None):
        raise InvalidConfig("", "expected bytes_per_hour or usd_per_hour, got neither")
    overrides = {name: _override(row, limits) for name, row in settings["overrides"].items()}
    accounts = Accounts(limits, overrides, settings["max_tenants"])
    key = settings["key"]
    desk.watch.text(key)
    if any(each.usd is not None for each in (limits, *overrides.values())):
        desk.watch.costs()
    if settings["mode"] == "allowance":
        return TenantAllowance(key, accounts, desk.largest_value)
    if desk.nested:
        raise InvalidConfig("mode", "expected allowance inside another policy, got ceiling")
    for position, name in enumerate(settings["exempt"]):
        if name not in desk.names:
            raise InvalidConfig(f"exempt[{position}]", f"there is no policy named {name!r}")
    to_skeleton = settings["on_exhausted"] == "skeleton"
    return TenantCeiling(key, accounts, desk.largest_value, to_skeleton, settings["exempt"])


def _limits(settings: Mapping[str, Any]) -> Limits:
    return Limits(settings["bytes_per_hour"], settings["usd_per_hour"])


def _override(row: Mapping[str, Any], limits: Limits) -> Limits:
    """Return a tenant's own limits: what its row does not name is everybody's."""
    own = _limits(row)
    return Limits(
        limits.size if own.size is None else own.size, limits.usd if own.usd is None else own.usd
    )
