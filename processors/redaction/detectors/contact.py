"""Ways to reach somebody: e-mail addresses and telephone numbers."""

from __future__ import annotations

import re
from typing import Final

from processors.redaction.detectors.checks import digits
from processors.redaction.detectors.model import NUMBER, Detector, Entity

_FILE_ENDINGS: Final = frozenset(
    b"png jpg jpeg gif svg webp ico bmp pdf zip gz tar tgz bz2 py js ts jsx tsx css scss html htm json xml yaml yml "
    b"toml md txt csv log exe dll so whl jar mp3 mp4 wav avi mov internal local lan svc".split()
)
_LABEL: Final = rb"[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?"
_DOMAIN: Final = re.compile(
    rb"(?:" + _LABEL + rb"\.)+(?P<ending>[A-Za-z]{2,24}|(?i:xn--)[A-Za-z0-9-]{1,58}[A-Za-z0-9])"
)


def email(value: bytes) -> bool:
    """Check the domain: labels that may be, and an ending that is no file's."""
    local, _, domain = value.rpartition(b"@")
    if b".." in local or local.startswith(b"."):
        return False
    match = _DOMAIN.fullmatch(domain)
    return match is not None and match["ending"].lower() not in _FILE_ENDINGS


EMAIL: Final = Entity(
    name="EMAIL",
    group="A",
    about="E-mail addresses.",
    detectors=(
        Detector(
            entity="EMAIL",
            prefilter=r"""[0-9A-Za-z_%+'"~-]@[0-9A-Za-z-]+\.[0-9A-Za-z]""",
            pattern=rb"[0-9A-Za-z_%+'~.-]{1,64}+@(?:[0-9A-Za-z-]{1,63}\.){1,8}[A-Za-z][A-Za-z0-9-]{1,23}",
            check=email,
            score=0.95,
            edge="mail",
            bounded=False,
            back=66,
            ahead=256,
        ),
    ),
)

# Calling code → least and most digits of the national number. ITU-T E.164 assignments; lengths from national plans.
_CODES: Final = {
    code: (least, most)
    for least, most, codes in (
        (10, 10, "1 7 90 91 86"),
        (9, 9, "27 30 33 34 48 51 56 66 94 98 210 211 212 213 216 218 250 254 255 256 258 260 351 380 420 421 48"),
        (7, 13, "43 49"),
        (8, 9, "31 32 36 41 47 57 84 233 234 251 352 353 370 386 389 593 594 595 598 961 962 966 967 970 971 972"),
        (6, 12, "39 40 44 45 46 52 53 54 55 58 60 61 62 63 64 65 81 82 92 93 95 20"),
        (6, 10, "220 221 222 223 224 225 226 227 228 229 230 231 232 235 236 237 238 239 240 241 242 243 244 245 246 "
                "247 248 249 252 253 257 259 261 262 263 264 265 266 267 268 269 290 291 297 298 299 350 354 355 356 "
                "357 358 359 371 372 373 374 375 376 377 378 381 382 383 385 387 423 500 501 502 503 504 505 506 507 "
                "508 509 590 591 592 596 597 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 "
                "689 690 691 692 850 852 853 855 856 880 886 960 963 964 965 968 973 974 975 976 977 992 993 994 995 "
                "996 998"),
    )
    for code in codes.split()
}  # fmt: skip


def international(value: bytes) -> bool:
    """Check calling code and length of a number that begins with `+` or `00`."""
    number = digits(value.replace(b"(0)", b"")).removeprefix(b"00").decode()
    for size in (3, 2, 1):
        known = _CODES.get(number[:size])
        if known is not None:
            return known[0] <= len(number) - size <= known[1] + 1
    return False


def north_american(value: bytes) -> bool:
    """Check area code and exchange of a ten-digit number (NANP)."""
    n = digits(value)[-10:]
    return (
        len(n) == 10
        and n[0] in b"23456789"
        and n[3] in b"23456789"
        and n[1:3] != b"11"
        and n[4:6] != b"11"
    )


_DATE: Final = re.compile(
    rb"(?:19|20)\d\d([-/. ])[01]?\d\1[0-3]?\d(?:\D.*)?|[0-3]?\d([-/.])[0-3]?\d\2(?:19|20)?\d\d"
)


def called_phone(value: bytes) -> bool:
    """Check a number that is called a phone: 7 to 13 digits that are no date."""
    n = digits(value)
    return 7 <= len(n) <= 14 and _DATE.fullmatch(value) is None and len(set(n)) > 1


def national(value: bytes) -> bool:
    """Check a number in the national form of Europe, Asia or Latin America: a trunk zero and separators."""
    n = digits(value)
    return 8 <= len(n) <= 11 and _DATE.fullmatch(value) is None and len(set(n)) > 2


_LABEL_BEHIND: Final = r"(?: ?- ?| ?\(| )(?i:office|fax|mobile|cell|phone|tel)"
"""What a contact block writes behind a number."""

PHONE: Final = Entity(
    name="PHONE",
    group="A",
    about="Telephone numbers: international with `+`, North American, and any beside a word such as 'phone'.",
    detectors=(
        Detector(
            entity="PHONE",
            prefilter=r"\+ ?\(?\d[\d .()/-]{5}",
            pattern=rb"\+ ?\(?[1-9]\d{0,2}\)?(?:[ .\-/]{0,2}(?:\(\d{1,5}\)|\d)){6,14}(?: ?(?:x|ext\.?|#) ?\d{1,6})?",
            check=international,
            score=0.95,
            ahead=64,
            edge="listed",
        ),
        Detector(
            entity="PHONE",
            prefilter=r"00[1-9]\d{0,2}[ .\-/]\(?\d",
            pattern=rb"00[1-9]\d{0,2}(?:[ .\-/](?:\(0\))?\d{1,5}){1,6}",
            check=international,
            score=0.85,
            edge="listed",
        ),
        Detector(
            entity="PHONE",
            prefilter=r"\d{3}\)?[ .\-]{0,2}\d{3}[ .\-]\d{4}",
            pattern=rb"(?:\+?1[ .\-]?)?(?:\(\d{3}\)[ .\-]{0,2}\d{3}[ .\-]\d{4}|\d{3}([ .\-])\d{3}\1\d{4})"
            rb"(?: ?(?:x|ext\.?|#) ?\d{1,6})?",
            check=north_american,
            without="counting",
            score=0.85,
            back=5,
            edge="listed",
        ),
        Detector(
            entity="PHONE",
            prefilter=NUMBER,
            pattern=rb"(?:\(\d{1,5}\)|\d{1,5})(?:[ .\-/]{0,2}(?:\(\d{1,5}\)|\d)){6,14}(?: ?(?:x|ext\.?|#) ?\d{1,6})?",
            check=called_phone,
            context="phone",
            score=0.75,
            back=8,
            edge="listed",
        ),
        Detector(
            entity="PHONE",
            prefilter=r"\d\)?" + _LABEL_BEHIND,
            pattern=rb"(?!0\.|[1-9]\d{0,2}\.\d{4})"  # a decimal fraction
            rb"(?P<v>(?:\+ ?)?(?:\(\d{1,5}\)|\d{1,5})(?:[ .\-/]{0,2}(?:\(\d{1,5}\)|\d)){6,14})"
            + _LABEL_BEHIND.encode()
            + rb"""\)?(?=\s*(?:[\\,;|"'<\n]|\Z))""",
            check=called_phone,
            score=0.9,
            back=48,
            edge="listed",
            bounded=False,
        ),
    ),
)

ENTITIES: Final = (EMAIL, PHONE)
