"""A server's or gateway's record below its client's: one of the two counts."""

from __future__ import annotations

from processors.genai.above import repeated_above
from processors.genai.call import COUNTED, Call
from processors.genai.reasons import (
    DUPLICATE_OF_ANCESTOR,
    DUPLICATE_OF_DESCENDANT,
    SERVER_OF_CLIENT,
    undecided,
)
from processors.genai.trace import Trace


def judge_servers(trace: Trace, calls: list[Call], *, prefer_gateway: bool) -> None:
    """A server's or gateway's record below its client's repeats it, whatever its ids and counts say."""
    for call in reversed(trace.deepest_first(calls)) if prefer_gateway else calls:
        client = trace.client_of(call) if call.is_server_side else None
        if client is None or not _is_client(client, call):
            continue
        if prefer_gateway and client.verdict is None:
            client.verdict = repeated_above(trace, client, calls) or DUPLICATE_OF_DESCENDANT
        gave_way = prefer_gateway and client.verdict == DUPLICATE_OF_DESCENDANT
        if call.verdict is None and not gave_way:
            call.verdict = SERVER_OF_CLIENT
    for call in undecided(calls):
        servers = [below for below in trace.records_below(call) if serves(trace, below, call)]
        if not servers:
            continue
        call.verdict = DUPLICATE_OF_DESCENDANT
        if all(s.verdict is None for s in servers) and repeated_above(trace, call, calls):
            call.verdict = DUPLICATE_OF_ANCESTOR
            for server in servers:
                server.verdict = SERVER_OF_CLIENT


def _is_client(client: Call, server: Call) -> bool:
    if client.aggregate or not client.has_usage:
        return False
    return server.server or client.client or client.level == 0


def serves(trace: Trace, server: Call, client: Call) -> bool:
    """Whether a server's record that counts belongs to this client's call, maybe through gateways."""
    if server.verdict not in (None, COUNTED) or server.aggregate or not server.has_usage:
        return False
    if not server.is_server_side:
        return False
    below = server
    for _ in trace.calls:  # a cycle (invalid) ends as well
        above = trace.client_of(below)
        if above is None or not _is_client(above, below):
            return False
        if above is client:
            return True
        if above.verdict == COUNTED or not above.is_server_side:
            return False
        below = above
    return False
