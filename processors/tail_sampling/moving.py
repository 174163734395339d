"""What a reload leaves to do where it changed what is kept about undecided traces: done share by share, later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from processors.tail_sampling.docket import Docket
from processors.tail_sampling.journal import Journal
from processors.tail_sampling.root import has_root
from processors.tail_sampling.traces import SHARE_SPANS, Trace


class Moving:
    """Work on traces that were there before. It goes on under the next configuration, too: `docket` and `journal` are
    those of the sampler that does it."""

    def __init__(self, docket: Docket, journal: Journal | None) -> None:
        self.docket = docket
        self.journal = journal
        self._chores: deque[Iterator[None]] = deque()

    def advance(self) -> bool:
        """Do a share of it; say whether there was something to do."""
        if not self._chores:
            return False
        for _ in self._chores[0]:
            return True
        self._chores.popleft()
        return True

    def look_for_roots(self, traces: Sequence[Trace], now_ns: int) -> None:
        """Let the wait after the root begin now for traces whose root came when that made no difference."""
        self._chores.append(self._find_roots(traces, now_ns))

    def _find_roots(self, traces: Sequence[Trace], now_ns: int) -> Iterator[None]:
        for trace in _paced(traces):
            if trace is None:
                yield
                continue
            for number, share in enumerate(trace.read() if not trace.root_seen else ()):
                if number:
                    yield
                trace.root_seen = has_root(span for _, span in share)
                if trace.root_seen or trace.verdict is not None:
                    break
            if trace.root_seen and trace.verdict is None:
                self.docket.bring_forward(trace, now_ns)

    def write_down(self, traces: Sequence[Trace]) -> None:
        """Put the spans that these traces hold now into the journal."""
        self._chores.append(self._write({trace: trace.spans for trace in traces}))

    def _write(self, spans: Mapping[Trace, int]) -> Iterator[None]:
        for trace in _paced(spans):
            if trace is None:
                yield
                continue
            held = islice(trace.held(), spans[trace])
            while trace.verdict is None and (share := list(islice(held, SHARE_SPANS))):
                if self.journal is None:
                    return
                for envelope, span in share:
                    self.journal.note(trace, envelope, span)
                self.journal.write(trace.first_ns)
                if trace.long:
                    yield


def _paced(traces: Iterable[Trace]) -> Iterator[Trace | None]:
    """Yield traces, and None whenever they make up a share."""
    done = 0
    for trace in traces:
        yield trace
        done += 1 + min(trace.spans, SHARE_SPANS)
        if done >= SHARE_SPANS:
            yield None
            done = 0
