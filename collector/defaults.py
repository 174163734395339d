"""Where the files are that ship with the program."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent

CONFIGS: Final = next(
    folder for folder in (_HERE / "configs", _HERE.parent / "configs") if folder.is_dir()
)
"""The shipped configurations: inside an installed wheel, or beside the package in a checkout."""

EMBEDDED: Final = CONFIGS / "embedded.yaml"
"""What runs when no configuration is named."""
