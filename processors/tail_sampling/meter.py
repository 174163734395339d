"""How large traces are by the Collector's measure: the encoded size of their ResourceSpans, summed over requests.

What a request holds of a trace is counted as if it had been cut out: its spans, their scope and their resource.
"""

from __future__ import annotations

from processors.tail_sampling.traces import Envelope, Trace
from processors.wire import varint


class Meter:
    """Adds up `Trace.wire_size` while a request is read, one scope group after the other."""

    def __init__(self) -> None:
        self._resource: bytes | None = None
        self._resource_size = 0
        self._scopes: dict[Trace, int] = {}
        self._resources: dict[Trace, int] = {}

    def span(self, trace: Trace, size: int) -> None:
        self._scopes[trace] = self._scopes.get(trace, 0) + _field(size)

    def begin(self, resource: bytes) -> list[Trace]:
        """Begin a scope group; return the traces of the resource group before it, if it is of another."""
        if resource is self._resource:
            return []
        grown = self.end_resource()
        self._resource = resource
        return grown

    def end_scope(self, envelope: Envelope) -> None:
        """Close a scope group. The envelope is measured as it will leave, which may be without schema URLs."""
        self._resource_size = len(envelope.resource)
        for trace, size in self._scopes.items():
            self._resources[trace] = self._resources.get(trace, 0) + _field(
                size + len(envelope.scope)
            )
        self._scopes = {}

    def end_resource(self) -> list[Trace]:
        """Close the last resource group; return the traces that have grown."""
        grown = list(self._resources)
        for trace, size in self._resources.items():
            trace.wire_size += size + self._resource_size
        self._resources = {}
        return grown


def _field(size: int) -> int:
    """Return the size of a field that holds so many bytes."""
    return 1 + len(varint(size)) + size
