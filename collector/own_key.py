"""The key that pseudonyms are made with where the configuration names none: the embedded default and the demo.

It lives in the data folder as `redaction.key`, 32 random bytes that only the owner can read, made on first use: the
same person keeps the same pseudonym from run to run, and nobody else can compute it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from collector import logs
from collector.errors import StartError

DATA_FOLDER: Final = Path(os.environ.get("OTELCOL_LLM_DATA") or "otelcol-llm-data")
"""Where the embedded default keeps its files."""
_SIZE: Final = 32


def own_key(folder: Path = DATA_FOLDER) -> bytes:
    """Return the key of this data folder, made and told once. Raises: `StartError`."""
    path = folder / "redaction.key"
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SIZE))
            logs.say("A key for pseudonyms was made; keep it to keep them.", file=str(path))
        key = path.read_bytes()
    except OSError as error:
        raise StartError(f"expected to read or make {path}: {error.strerror}") from error
    if len(key) < _SIZE:
        raise StartError(f"expected at least {_SIZE} bytes in {path}, got {len(key)}")
    return key
