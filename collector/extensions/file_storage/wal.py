"""How many frames a write-ahead log of SQLite should hold: what tells damage from a torn tail.

SQLite stops reading a log at the first frame that does not check. After a crash that is the unfinished transaction at
the end; after a flipped bit everything behind it vanishes without a word. A commit frame of this log further on shows
the difference. Layout: SQLite file format, section 4 ("The Write-Ahead Log").
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = (0x377F0682, 0x377F0683)


def frames_committed(log: Path) -> int:
    """Return the number of the last frame that carries this log's salts and ends a transaction; 0 without any."""
    last = 0
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    with log.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return 0
        magic, _, page_size, _, *salts, _, _ = _HEADER.unpack(header)
        if magic not in _MAGIC or not 512 <= page_size <= 65536:
            return 0
        step = _FRAME.size + page_size
        for number in range(1, (size - _HEADER.size) // step + 1):
            file.seek(_HEADER.size + (number - 1) * step)
            _, pages, *frame_salts, _, _ = _FRAME.unpack(file.read(_FRAME.size))
            if frame_salts == salts and pages:
                last = number
    return last
