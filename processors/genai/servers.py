"""A server's or gateway's record below its client's: one of the two counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from processors.genai.above import Above
from processors.genai.call import Call
from processors.genai.reasons import (
    DUPLICATE_OF_ANCESTOR,
    DUPLICATE_OF_DESCENDANT,
    SERVER_OF_CLIENT,
    STANDING,
    undecided,
)
from processors.genai.siblings import judge_settled
from processors.genai.trace import Trace

_MAY_STAND: Final = STANDING | {None}


def judge_servers(trace: Trace, calls: list[Call], above: Above, *, prefer_gateway: bool) -> None:
    """A server's or gateway's record below its client's repeats it, whatever its ids and counts say."""
    servers = [call for call in calls if call.is_server_side]
    outdone = _outdone(trace, servers, prefer_gateway=prefer_gateway)
    judge_settled(trace, undecided(outdone))
    for call in reversed(trace.deepest_first(servers)) if prefer_gateway else servers:
        client = trace.client_of(call)
        if client is None or not _is_client(client, call):
            continue
        if client in outdone and client.verdict is None:
            above.close(client, above.verdict_on(client) or DUPLICATE_OF_DESCENDANT)
        gave_way = client in outdone and client.verdict == DUPLICATE_OF_DESCENDANT
        if call.verdict is None and not gave_way:
            above.close(call, SERVER_OF_CLIENT)
    for call in undecided(calls):
        _give_way(call, list(servers_of(trace, call)), above)


def _outdone(trace: Trace, servers: list[Call], *, prefer_gateway: bool) -> set[Call]:
    """Return the clients whose servers' records are preferred to their own."""
    clients = {trace.client_of(call) for call in servers}
    return {one for one in clients if one and (prefer_gateway or _only_from_caches(trace, one))}


def _only_from_caches(trace: Trace, client: Call) -> bool:
    """Whether gateways answered from their caches and did nothing else, which their client does not know.

    Where such answers counted before, the client gives way to them, so it does not hold the cost of a call that comes
    now.
    """
    if client.verdict not in (None, DUPLICATE_OF_DESCENDANT):
        return False
    below = [r for r in trace.records_right_below(client) if r.has_usage]
    before = [r.cached for r in below if r.verdict in STANDING]
    cached = before or [r.cached for r in below if r.verdict is None]
    return bool(cached) and all(cached)


def _give_way(client: Call, servers: list[Call], above: Above) -> None:
    """Let a client's record be the duplicate of its server's, unless one above both counted before."""
    if not servers:
        return
    above.close(client, DUPLICATE_OF_DESCENDANT)
    if all(s.verdict is None for s in servers) and above.verdict_on(client):
        above.close(client, DUPLICATE_OF_ANCESTOR)
        for server in servers:
            above.close(server, SERVER_OF_CLIENT)


def _is_client(client: Call, server: Call) -> bool:
    if client.aggregate or not client.has_usage:
        return False
    return server.server or client.client or client.level == 0


def servers_of(trace: Trace, client: Call) -> Iterator[Call]:
    """Yield the servers' records that may count and belong to this client's call, maybe through gateways."""
    clients = [client]
    while clients:
        above = clients.pop()
        for below in trace.records_right_below(above):
            if below is client or not below.is_server_side or not _is_client(above, below):
                continue
            if below.verdict in _MAY_STAND and not below.aggregate and below.has_usage:
                yield below
            if below.verdict not in STANDING:
                clients.append(below)
