"""Checksums and range rules of identifiers. Each check takes the matched bytes and says whether they can be real.

python-stdnum has most of them. What it lacks stands here: card brands (ISO/IEC 7812 ranges as of 2026), US NPI, DEA and
MBI (CMS), UK NINO (HMRC NIM39110), SG NRIC, VIN (ISO 3779, 49 CFR 565), and Luhn without the cost of a library call.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Final, TypeAlias

from stdnum import bitcoin, imei, verhoeff
from stdnum.au import abn, tfn
from stdnum.be import nn
from stdnum.br import cnpj, cpf
from stdnum.ca import sin
from stdnum.de import idnr
from stdnum.es import nie
from stdnum.es import nif as es_nif
from stdnum.fr import nir
from stdnum.gb import nhs, utr
from stdnum.ie import pps
from stdnum.in_ import gstin
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.pt import nif as pt_nif
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.us import rtn
from stdnum.za import idnr as za_idnr

Check: TypeAlias = Callable[[bytes], bool]

_NOT_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def digits(value: bytes) -> bytes:
    """Return the ASCII digits of a value."""
    return value.translate(None, _NOT_DIGITS)


def luhn(value: bytes) -> bool:
    """Check digits by ISO/IEC 7812-1 annex B."""
    numbers = [byte - 48 for byte in digits(value)]
    return (sum(numbers[-1::-2]) + sum([_DOUBLED[n] for n in numbers[-2::-2]])) % 10 == 0


def _uniform(number: bytes) -> bool:
    return len(set(number)) == 1


_BRANDS: Final = (
    # digits that lead (as a range of the first four), lengths
    (4000, 4999, (13, 16, 19)),  # Visa
    (5100, 5599, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (3400, 3499, (15,)),  # American Express
    (3700, 3799, (15,)),
    (6011, 6011, (16, 17, 18, 19)),  # Discover
    (6440, 6599, (16, 17, 18, 19)),
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (1800, 1800, (15,)),
    (2131, 2131, (15,)),
    (3000, 3059, (14, 15, 16, 17, 18, 19)),  # Diners Club
    (3600, 3699, (14, 15, 16, 17, 18, 19)),
    (3800, 3999, (14, 15, 16, 17, 18, 19)),
    (6200, 6299, (16, 17, 18, 19)),  # UnionPay
)


def _branded(number: bytes) -> bool:
    lead, size = int(number[:4]), len(number)
    return any(first <= lead <= last and size in sizes for first, last, sizes in _BRANDS)


def card(value: bytes) -> bool:
    """Check a card number: a brand's range and length, and Luhn."""
    number = digits(value)
    return 13 <= len(number) <= 19 and _branded(number) and not _uniform(number) and luhn(number)


def card_by_context(value: bytes) -> bool:
    """Check a card number that is called one: any brand, also Maestro."""
    number = digits(value)
    known = 12 <= len(number) <= 19 and (number[:1] in b"23456" or _branded(number))
    return known and not _uniform(number) and luhn(number)


_SSN_SAMPLES: Final = frozenset((b"078051120", b"219099999", b"123456789"))


def ssn(value: bytes) -> bool:
    """Check a US social security number's area, group and serial (SSA, since 2011), and no well-known sample."""
    n = digits(value)
    bad = n[:3] in (b"000", b"666") or n[:1] == b"9" or n[3:5] == b"00" or n[5:] == b"0000"
    return len(n) == 9 and not bad and n not in _SSN_SAMPLES and not _uniform(n)


def itin(value: bytes) -> bool:
    """Check a US ITIN: 9, then a group of 50-65, 70-88, 90-92 or 94-99 (IRS)."""
    n = digits(value)
    group = int(n[3:5])
    ranges = 50 <= group <= 65 or 70 <= group <= 88 or (90 <= group <= 99 and group != 93)
    return len(n) == 9 and n[:1] == b"9" and ranges


def npi(value: bytes) -> bool:
    """Check a US national provider identifier: Luhn behind the prefix 80840."""
    n = digits(value)
    return len(n) == 10 and n[:1] in b"12" and luhn(b"80840" + n)


def dea(value: bytes) -> bool:
    """Check a US DEA registration number: two letters, seven digits, the last one a check digit."""
    d = [byte - 48 for byte in value[-7:]]
    return (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


_NINO_NEVER: Final = frozenset((b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"))


def nino(value: bytes) -> bool:
    """Check the prefix of a UK national insurance number."""
    first = value[:2].upper()
    return first not in _NINO_NEVER and not set(first) & set(b"DFIQUV") and first[1:] != b"O"


_NRIC_CHECK: Final = {
    83: b"JZIHGFEDCBA", 84: b"JZIHGFEDCBA", 70: b"XWUTRQPNMLK", 71: b"XWUTRQPNMLK", 77: b"XWUTRQPNJLK"
}  # fmt: skip
_NRIC_OFFSET: Final = {84: 4, 71: 4, 77: 3}


def nric(value: bytes) -> bool:
    """Check a Singapore NRIC or FIN."""
    series, last = value[:1].upper()[0], value[-1:].upper()[0]
    weights = (2, 7, 6, 5, 4, 3, 2)
    total = sum((byte - 48) * w for byte, w in zip(value[1:8], weights, strict=True))
    return last == _NRIC_CHECK[series][(total + _NRIC_OFFSET.get(series, 0)) % 11]


_VIN_VALUE: Final = dict(
    zip(b"0123456789ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "012345678912345678123457923456789"), strict=True)
)  # fmt: skip
_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(value: bytes) -> bool:
    """Check a vehicle identification number's ninth position."""
    total = sum(_VIN_VALUE[c] * w for c, w in zip(value.upper(), _VIN_WEIGHTS, strict=True))
    return value[8:9].upper() == b"0123456789X"[total % 11 :][:1]


def au_medicare(value: bytes) -> bool:
    """Check an Australian Medicare number: eight weighted digits, the ninth their sum modulo 10."""
    n = [byte - 48 for byte in digits(value)]
    weights = (1, 3, 7, 9, 1, 3, 7, 9)
    return 2 <= n[0] <= 6 and sum(a * b for a, b in zip(n, weights, strict=False)) % 10 == n[8]


def krrrn(value: bytes) -> bool:
    """Check the date and century of a Korean resident registration number; its checksum ended in 2020."""
    n = digits(value)
    return len(n) == 13 and n[6:7] in b"12345678" and month_day(n[2:4], n[4:6])


_CN_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def cn_ric(value: bytes) -> bool:
    """Check a Chinese identity number: date, and ISO 7064 MOD 11-2. Regions are not judged: they are renumbered."""
    total = sum((byte - 48) * weight for byte, weight in zip(value, _CN_WEIGHTS, strict=False))
    return (
        month_day(value[10:12], value[12:14])
        and value[17:].upper() == b"10X98765432"[total % 11 :][:1]
    )


def fi_hetu(value: bytes) -> bool:
    """Check a Finnish personal code: date, and the remainder by 31. Separators since 2023 included."""
    letters = b"0123456789ABCDEFHJKLMNPRSTUVWXY"
    number = int(value[:6] + value[7:10])
    return month_day(value[2:4], value[:2]) and value[10:].upper() == letters[number % 31 :][:1]


def month_day(month: bytes, day: bytes) -> bool:
    """Check that two pairs of digits can be a month and a day."""
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def stdnum(module: ModuleType, *, compact: bool = False) -> Check:
    """Make a check of a python-stdnum module. `compact`: hand it digits only."""

    def check(value: bytes) -> bool:
        text = digits(value) if compact else value
        return bool(module.is_valid(text.decode("ascii", "replace")))

    return check


IBAN_LENGTHS: Final = {
    country: int(size)
    for country, size in (
        (pair[:2].encode(), pair[2:])
        for pair in [
            "AD24",
            "AE23",
            "AL28",
            "AT20",
            "AZ28",
            "BA20",
            "BE16",
            "BG22",
            "BH22",
            "BI27",
            "BR29",
            "BY28",
            "CH21",
            "CR22",
            "CY28",
            "CZ24",
            "DE22",
            "DJ27",
            "DK18",
            "DO28",
            "EE20",
            "EG29",
            "ES24",
            "FI18",
            "FK18",
            "FO18",
            "FR27",
            "GB22",
            "GE22",
            "GI23",
            "GL18",
            "GR27",
            "GT28",
            "HN28",
            "HR21",
            "HU28",
            "IE22",
            "IL23",
            "IQ23",
            "IS26",
            "IT27",
            "JO30",
            "KW30",
            "KZ20",
            "LB28",
            "LC32",
            "LI21",
            "LT20",
            "LU20",
            "LV21",
            "LY25",
            "MC27",
            "MD24",
            "ME22",
            "MK19",
            "MN20",
            "MR27",
            "MT31",
            "MU30",
            "NI28",
            "NL18",
            "NO15",
            "OM23",
            "PK24",
            "PL28",
            "PS29",
            "PT25",
            "QA29",
            "RO24",
            "RS22",
            "RU33",
            "SA24",
            "SC31",
            "SD18",
            "SE24",
            "SI19",
            "SK24",
            "SM27",
            "SO23",
            "ST25",
            "SV28",
            "TL23",
            "TN24",
            "TR26",
            "UA29",
            "VA22",
            "VG24",
            "XK20",
            "YE30",
        ]
    )
}
"""Country → length without spaces. Source: SWIFT IBAN registry, release 99."""


def iban_part(value: bytes) -> bytes:
    """Cut a run of groups where the country's length ends; nothing when that is inside a word."""
    wanted = IBAN_LENGTHS.get(value[:2].upper(), 0)
    for place, byte in enumerate(value):
        wanted -= byte not in b" -"
        if wanted == 0:
            return b"" if value[place + 1 : place + 2].isalnum() else value[: place + 1]
    return b""


def iban_mod97(value: bytes) -> bool:
    """Check an IBAN by country, length and mod 97; national digits inside it are not judged."""
    compact = value.upper().translate(None, b" -")
    if IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    moved = compact[4:] + compact[:4]
    return int("".join([str(int(chr(byte), 36)) for byte in moved])) % 97 == 1


_OCTET: Final = rb"(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"
_IPV4: Final = re.compile(rb"(?!0\.|255\.255\.255\.255$)" + _OCTET + rb"(?:\." + _OCTET + rb"){3}")


def ipv4(value: bytes) -> bool:
    """Check a dotted quad, a prefix length aside; 0.x and addresses that name no host are none."""
    return _IPV4.fullmatch(value.partition(b"/")[0]) is not None


def ipv6(value: bytes) -> bool:
    """Check an IPv6 address, a prefix length aside; one group alone is none."""
    text = value.decode("ascii").partition("/")[0]
    if text == "::1":
        return True
    try:
        address = ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    several = "." in text or ":" in text.strip(":")
    return several and not address.is_unspecified and bool(re.search("[0-9]", text))


def mac(value: bytes) -> bool:
    """Check that not all pairs are equal."""
    return len(set(re.split(rb"[:.-]", value.lower()))) > 1


def entropy(value: bytes) -> float:
    """Return Shannon's entropy in bits a character."""
    counts, size = Counter(value), len(value)
    return -sum(n / size * math.log2(n / size) for n in counts.values())


def random_looking(value: bytes) -> bool:
    """Check that a token is no word or placeholder: enough entropy and a digit."""
    return bool(digits(value)) and entropy(value) >= 3


def jwt(value: bytes) -> bool:
    """Check that the header is JSON with an algorithm."""
    head = value.partition(b".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
        return False
    return isinstance(header, dict) and "alg" in header


def basic_auth(value: bytes) -> bool:
    """Check that base64 holds `user:password`."""
    try:
        return b":" in base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False


_PLACEHOLDER: Final = re.compile(
    rb"(?i)x{3,}|\*{3,}|[<$%]?[{(<\[].*|.*(?:example|placeholder|redacted|changeme|environ|getenv|secrets?\.|vault:).*"
    rb"|your[-_ ].*|none|null|nil|true|false|undefined|empty|missing|required|string|\.+"
)


def placeholder(value: bytes) -> bool:
    """Say whether a value only stands for a secret."""
    return _PLACEHOLDER.fullmatch(value) is not None or _uniform(value)


_CODE: Final = re.compile(rb"\$?[A-Za-z_][\w.]*(?:\(.*|\[.*)?|[\w.-]+\.[a-z]{2,4}|-?\d+(?:\.\d+)?")


def password(value: bytes) -> bool:
    """Check a value that stands where a password does: not code, a number, a word or a placeholder."""
    if placeholder(value) or len(value) < 6:
        return False
    lettered = re.search(rb"[A-Za-z]", value) is not None
    marked = re.search(rb"[0-9]", value) is not None or re.search(rb"[^\w.-]", value) is not None
    if not marked:
        return False
    simple = _CODE.fullmatch(value)
    return lettered and (
        simple is None
        or (re.search(rb"\d", value) is not None and b"." not in value and b"(" not in value)
    )


def generic_secret(value: bytes) -> bool:
    """Check a value that stands where a token or key does."""
    return len(value) >= 12 and random_looking(value) and not placeholder(value)


def url_password(value: bytes) -> bool:
    """Check the password inside a URL."""
    return not placeholder(value)


_SWIFT_COUNTRIES: Final = frozenset(IBAN_LENGTHS) | frozenset(
    (
        b"AF AG AI AM AO AR AS AU AW BB BD BF BJ BM BN BO BS BT BW BZ CA CD CF CG CI CK CL CM CN CO CU CV CW DM DZ EC "
        b"ER ET FJ FM GA GD GF GG GH GM GN GP GQ GU GW GY HK HT ID IM IN IR JE JM JP KE KG KH KI KM KN KP KR KY LA LK "
        b"LR LS MA MG MH ML MM MO MP MQ MS MV MW MX MY MZ NA NC NE NF NG NP NR NU NZ PA PE PF PG PH PM PR PW PY RE RW "
        b"SB SG SH SL SN SR SS SX SY SZ TC TD TG TH TJ TK TM TO TT TV TW TZ UG US UY UZ VC VE VI VN VU WF WS YT ZA ZM "
        b"ZW"
    ).split()
)


def swift(value: bytes) -> bool:
    """Check the country of a BIC (ISO 9362)."""
    return value[4:6].upper() in _SWIFT_COUNTRIES


def born(value: bytes) -> bool:
    """Check that a date has a year in which somebody alive can be born."""
    years = [int(year) for year in re.findall(rb"\d{4}", value)]
    if not years:
        return re.fullmatch(rb"\D*\d{1,2}\D+\d{1,2}\D+\d{2}\D*", value) is not None or b" " in value
    return any(1900 <= year <= 2100 for year in years)


au_abn, au_tfn = stdnum(abn), stdnum(tfn)
be_nn, br_cnpj = stdnum(nn), stdnum(cnpj)
ca_sin, de_idnr = stdnum(sin, compact=True), stdnum(idnr)
es_nie, es_nif_ = stdnum(nie), stdnum(es_nif)
fr_nir, gb_nhs, gb_utr = stdnum(nir), stdnum(nhs), stdnum(utr)
ie_pps, in_gstin, mx_curp = stdnum(pps), stdnum(gstin), stdnum(curp)
nl_bsn, pl_pesel, pt_nif_ = stdnum(bsn), stdnum(pesel), stdnum(pt_nif)
se_personnummer, tr_tckn, za_id = stdnum(personnummer), stdnum(tckimlik), stdnum(za_idnr)
us_rtn, btc = stdnum(rtn), stdnum(bitcoin)


def br_cpf(value: bytes) -> bool:
    """Check a Brazilian person number; equal digits pass the checksum and are nobody's."""
    return not _uniform(digits(value)) and bool(cpf.is_valid(value.decode("ascii")))


def imei_(value: bytes) -> bool:
    """Check an IMEI."""
    return bool(imei.is_valid(digits(value).decode()))


def aadhaar(value: bytes) -> bool:
    """Check an Aadhaar number: Verhoeff, no leading 0 or 1, no palindrome."""
    n = digits(value)
    return n[:1] not in b"01" and n != n[::-1] and bool(verhoeff.is_valid(n.decode()))
