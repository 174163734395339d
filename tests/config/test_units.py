"""Durations as Go writes them, sizes with either kind of prefix."""

from __future__ import annotations

import pytest

from collector.config.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("30s", 30_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("250ms", 250_000_000),
        ("10us", 10_000),
        ("10µs", 10_000),
        ("10μs", 10_000),
        ("7ns", 7),
        (".5s", 500_000_000),
        ("-2s", -2_000_000_000),
        ("+2s", 2_000_000_000),
        ("0", 0),
        (10, 10),
        (1e9, 1_000_000_000),
    ],
)
def test_durations_are_read_as_go_reads_them(written: str | float, nanoseconds: int) -> None:
    assert parse_duration(written) == nanoseconds


@pytest.mark.parametrize("written", ["", "soon", "10", "1d", "s", "1h 30m", "1,5s", "9999999h"])
def test_what_is_no_duration_is_refused_by_name(written: str) -> None:
    with pytest.raises(ValueError, match=r"^expected .*, got '" + written.replace(".", r"\.")):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("64MiB", 64 << 20),
        ("1 GiB", 1 << 30),
        ("500KB", 500_000),
        ("1.5kib", 1536),
        ("12", 12),
        ("12B", 12),
        (1024, 1024),
    ],
)
def test_sizes_have_binary_and_decimal_units(written: str | int, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "much", "64 MegaBytes", "-1MiB", "99999999TiB"])
def test_what_is_no_size_is_refused_by_name(written: str) -> None:
    with pytest.raises(ValueError, match=r"^expected .*, got '"):
        parse_size(written)
