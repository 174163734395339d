"""Identity, tax, health and vehicle numbers, by country. Rules: `checks` and python-stdnum."""

from __future__ import annotations

from typing import Final

from processors.redaction.detectors import checks
from processors.redaction.detectors.checks import Check
from processors.redaction.detectors.model import (
    NUMBER,
    ROUGH_START,
    WORD_START,
    Detector,
    Edge,
    Entity,
    Group,
)


def _entity(name: str, group: Group, about: str, *detectors: Detector) -> Entity:
    return Entity(name=name, group=group, about=about, detectors=detectors)


def _shaped(
    entity: str,
    prefilter: str,
    pattern: bytes,
    check: Check | None = None,
    *,
    edge: Edge = "number",
    score: float = 0.9,
    context: str = "",
    without: str = "",
    ahead: int = 64,
) -> Detector:
    """Make a detector whose shape says a lot."""
    return Detector(
        entity=entity,
        prefilter=prefilter,
        pattern=pattern,
        check=check,
        edge=edge,
        score=score,
        context=context,
        without=without,
        ahead=ahead,
    )


def _called(
    entity: str, context: str, pattern: bytes, check: Check | None, digits: int
) -> Detector:
    """Make a detector of plain digits that a word must announce."""
    return Detector(
        entity=entity,
        prefilter=NUMBER,
        pattern=pattern,
        check=check,
        context=context,
        edge="listed",
        score=0.85,
        digits=digits,
    )


_MONTH: Final = rb"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_US: Final = (
    _entity(
        "US_SSN",
        "A",
        "US social security numbers.",
        _shaped(
            "US_SSN",
            r"\d{3}-\d{2}-\d{4}",
            rb"\d{3}-\d{2}-\d{4}",
            checks.ssn,
            edge="listed",
            score=0.9,
            without="counting",
        ),
        _shaped(
            "US_SSN",
            r"\d{3} \d{2} \d{4}",
            rb"(?:(?<=[\n\t\r|])|(?<=\\[nrt])) ?(?P<v>\d{3} \d{2} \d{4})(?= ?(?:[\n\t\r|\\]|$))",
            checks.ssn,
            edge="none",
            score=0.75,
        ),
        _called("US_SSN", "ssn", rb"\d{3}([-. ]?)\d{2}\1\d{4}", checks.ssn, 9),
    ),
    _entity(
        "US_ITIN",
        "A",
        "US individual taxpayer numbers.",
        _shaped(
            "US_ITIN",
            r"9\d{2}-[5-9]\d-\d{4}",
            rb"9\d{2}-\d{2}-\d{4}",
            checks.itin,
            edge="listed",
            without="counting",
        ),
        _called("US_ITIN", "itin", rb"9\d{2}([-. ]?)\d{2}[-. ]?\d{4}", checks.itin, 9),
    ),
    _entity(
        "US_PASSPORT",
        "C",
        "Passport numbers, where one is named.",
        Detector(
            entity="US_PASSPORT",
            prefilter=r"(?i:passport|pasaporte|reisepass)",
            bounded=False,
            pattern=WORD_START + rb"(?i:passport|pasaporte|reisepass\w{0,6})"
            rb"[^0-9\r\n]{0,20}?[^0-9A-Za-z](?P<v>[A-Za-z]{0,2}\d{6,9})(?![0-9A-Za-z_])",
            edge="none",
            score=0.8,
        ),
    ),
    _entity(
        "US_DRIVER_LICENSE",
        "C",
        "Driver licence numbers, where one is named.",
        Detector(
            entity="US_DRIVER_LICENSE",
            prefilter=r"(?i:licen[sc]e|"
            + ROUGH_START
            + r"dln?|d\.l\.)(?:[^0-9A-Za-z\r\n]{1,4}(?i:number|num|no|nr|is|was|id)){0,3}"
            r"[^0-9A-Za-z\r\n]{1,8}[A-Za-z]{0,3}\d{4}",
            pattern=rb"(?i:driver'?s?'?[ _-]?licen[sc]e|driving[ _-]?licen[sc]e"
            rb"|" + WORD_START + rb"DLN?(?![A-Za-z])|D\.L\.)"
            rb"(?:[^0-9A-Za-z\r\n]{1,4}(?i:number|num|no|nr|is|was|id)){0,3}[^0-9A-Za-z\r\n]{1,8}(?P<v>[A-Za-z]{0,3}\d{4,14}[A-Za-z0-9]{0,3})",
            score=0.75,
            back=16,
            edge="none",
            bounded=False,
        ),
    ),
    _entity(
        "US_NPI",
        "C",
        "US provider identifiers.",
        _called("US_NPI", "npi", rb"[12]\d{9}", checks.npi, 10),
    ),
    _entity(
        "US_DEA",
        "A",
        "US DEA registration numbers.",
        _shaped(
            "US_DEA",
            r"[A-Za-z][A-Za-z9]\d{7}",
            rb"[ABCDEFGHJKLMPRSTUXabcdefghjklmprstux][A-Za-z9]\d{7}",
            checks.dea,
            edge="word",
            score=0.8,
        ),
    ),
    _entity(
        "US_MBI",
        "A",
        "US Medicare beneficiary identifiers.",
        _shaped(
            "US_MBI",
            r"[1-9][A-Za-z][A-Za-z0-9]\d-?[A-Za-z][A-Za-z0-9]\d-?[A-Za-z]{2}\d{2}",
            rb"(?i:[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y]{2}\d{2})",
            edge="word",
            score=0.85,
        ),
    ),
)

_BRITISH: Final = (
    _entity(
        "UK_NINO",
        "A",
        "UK national insurance numbers.",
        _shaped(
            "UK_NINO",
            r"[A-Za-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-Da-d]",
            # In small letters a salary looks like one, too: "at 120000 a year".
            rb"(?:[A-Z]{2}|[a-z]{2})( ?)\d{2}\1\d{2}\1\d{2}\1[A-Da-d]|[A-Z]{2} ?\d{6} ?[A-D]",
            checks.nino,
            edge="word",
            score=0.85,
        ),
    ),
    _entity(
        "UK_NHS",
        "C",
        "UK health service numbers.",
        _called(
            "UK_NHS",
            "nhs",
            rb"\d{3}([ -]?)\d{3}\1\d{4}",
            lambda v: checks.gb_nhs(checks.digits(v)),
            10,
        ),
    ),
    _entity(
        "UK_UTR",
        "C",
        "UK taxpayer references.",
        _called("UK_UTR", "utr", rb"\d{5} ?\d{5}", checks.gb_utr, 10),
    ),
    _entity(
        "CA_SIN",
        "C",
        "Canadian social insurance numbers.",
        _called("CA_SIN", "ca_sin", rb"\d{3}([ -]?)\d{3}\1\d{3}", checks.ca_sin, 9),
    ),
    _entity(
        "AU_TFN",
        "C",
        "Australian tax file numbers.",
        _called("AU_TFN", "tfn", rb"\d{3}([ -]?)\d{3}\1\d{2,3}", checks.au_tfn, 8),
    ),
    _entity(
        "AU_ABN",
        "C",
        "Australian business numbers.",
        _called("AU_ABN", "abn", rb"\d{2} ?\d{3} ?\d{3} ?\d{3}", checks.au_abn, 11),
    ),
    _entity(
        "AU_MEDICARE",
        "C",
        "Australian Medicare numbers.",
        _called(
            "AU_MEDICARE", "medicare", rb"[2-6]\d{3} ?\d{5} ?\d(?: ?\d)?", checks.au_medicare, 10
        ),
    ),
    _entity(
        "IE_PPS",
        "A",
        "Irish PPS numbers.",
        _shaped(
            "IE_PPS",
            r"\d{7}[A-Wa-w]",
            rb"\d{7}[A-Wa-w][A-IWTXa-iwtx]?",
            checks.ie_pps,
            edge="word",
            score=0.7,
            context="pps",
        ),
    ),
)

_EUROPE: Final = (
    _entity(
        "ES_NIF",
        "A",
        "Spanish tax numbers (DNI).",
        _shaped(
            "ES_NIF",
            r"\d{7,8}-?[A-HJ-NP-TV-Za-hj-np-tv-z]",
            rb"\d{8}-?[A-HJ-NP-TV-Za-hj-np-tv-z]",
            checks.es_nif_,
            edge="word",
            score=0.8,
        ),
    ),
    _entity(
        "ES_NIE",
        "A",
        "Spanish foreigner numbers.",
        _shaped(
            "ES_NIE",
            r"[XYZxyz]-?\d{7}-?[A-Za-z]",
            rb"[XYZxyz]-?\d{7}-?[A-Za-z]",
            checks.es_nie,
            edge="word",
        ),
    ),
    _entity(
        "PT_NIF",
        "C",
        "Portuguese tax numbers.",
        _called("PT_NIF", "pt_nif", rb"[1-35689]\d{2} ?\d{3} ?\d{3}", checks.pt_nif_, 9),
    ),
    _entity(
        "IT_FISCAL_CODE",
        "A",
        "Italian fiscal codes.",
        _shaped(
            "IT_FISCAL_CODE",
            r"[A-Za-z]{6}\d{2}[A-Za-z]\d{2}[A-Za-z]",
            rb"(?i:[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z])",
            edge="word",
            score=0.85,
        ),
    ),
    _entity(
        "FR_NIR",
        "C",
        "French social security numbers.",
        _called(
            "FR_NIR",
            "nir",
            rb"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[ABab]) ?\d{3} ?\d{3} ?\d{2}",
            checks.fr_nir,
            13,
        ),
        _shaped(
            "FR_NIR",
            r"[12] \d{2} \d{2} [0-9AB]{2} \d{3} \d{3} \d{2}|[12]\d{4}2[AB]\d{8}",
            # Corsica's letter is enough to tell one that is written in one piece.
            rb"[12] \d{2} \d{2} (?:\d{2}|2[AB]) \d{3} \d{3} \d{2}|[12]\d{4}2[AB]\d{8}",
            checks.fr_nir,
        ),
    ),
    _entity(
        "DE_TAX_ID",
        "C",
        "German tax ids.",
        _called("DE_TAX_ID", "steuer", rb"\d{2} ?\d{3} ?\d{3} ?\d{3}", checks.de_idnr, 11),
    ),
    _entity(
        "NL_BSN",
        "C",
        "Dutch citizen service numbers.",
        _called(
            "NL_BSN", "bsn", rb"\d{3}([ .]?)\d{3}\1\d{3}|\d{4}[ .]\d{2}[ .]\d{3}", checks.nl_bsn, 9
        ),
    ),
    _entity(
        "PL_PESEL",
        "C",
        "Polish PESEL numbers.",
        _called("PL_PESEL", "pesel", rb"\d{11}", checks.pl_pesel, 11),
    ),
    _entity(
        "SE_PERSONNUMMER",
        "A",
        "Swedish personal numbers.",
        _shaped(
            "SE_PERSONNUMMER",
            r"(?:19|20)?\d{6}[-+]\d{4}",
            rb"(?:19|20)?\d{6}[-+]\d{4}",
            checks.se_personnummer,
            without="counting",
            score=0.85,
        ),
        _called(
            "SE_PERSONNUMMER",
            "se_pnr",
            rb"(?:18|19|20)?\d{6}[-+]?\d{4}",
            checks.se_personnummer,
            10,
        ),
    ),
    _entity(
        "FI_HETU",
        "A",
        "Finnish personal codes.",
        _shaped(
            "FI_HETU",
            r"\d{6}[-+A-FU-Ya-fu-y]\d{3}[0-9A-Ya-y]",
            rb"[0-3]\d[01]\d{3}[-+A-FU-Ya-fu-y]\d{3}[0-9A-Ya-y]",
            checks.fi_hetu,
            edge="word",
        ),
    ),
    _entity(
        "BE_NRN",
        "A",
        "Belgian national numbers.",
        _shaped(
            "BE_NRN",
            r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}",
            rb"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}",
            checks.be_nn,
        ),
        _called("BE_NRN", "be_nn", rb"\d{11}", checks.be_nn, 11),
    ),
)

_ELSEWHERE: Final = (
    _entity(
        "IN_AADHAAR",
        "C",
        "Indian Aadhaar numbers.",
        _called("IN_AADHAAR", "aadhaar", rb"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", checks.aadhaar, 12),
    ),
    _entity(
        "IN_PAN",
        "C",
        "Indian tax numbers.",
        _shaped(
            "IN_PAN",
            r"[A-Za-z]{5}\d{4}[A-Za-z]",
            rb"(?i:[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z])",
            context="pan",
            edge="word",
        ),
        _shaped(
            "IN_PAN",
            r"[A-Za-z]{5}\d{4}[A-Za-z]",
            rb"(?i:[A-Z]{5}\d{4}[A-Z])",
            context="pan",
            edge="word",
            score=0.7,
        ),
    ),
    _entity(
        "IN_GSTIN",
        "A",
        "Indian goods and services tax numbers.",
        _shaped(
            "IN_GSTIN",
            r"[0-3]\d[A-Za-z]{5}\d{4}[A-Za-z]",
            rb"[0-3]\d(?i:[A-Z]{5}\d{4}[A-Z][0-9A-Z]Z[0-9A-Z])",
            checks.in_gstin,
            edge="word",
        ),
    ),
    _entity(
        "BR_CPF",
        "A",
        "Brazilian person numbers.",
        _shaped(
            "BR_CPF", r"\d{3}\.\d{3}\.\d{3}-\d{2}", rb"\d{3}\.\d{3}\.\d{3}-\d{2}", checks.br_cpf
        ),
        _called("BR_CPF", "cpf", rb"\d{9}-?\d{2}", checks.br_cpf, 11),
    ),
    _entity(
        "BR_CNPJ",
        "A",
        "Brazilian company numbers.",
        _shaped(
            "BR_CNPJ",
            r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}",
            rb"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}",
            checks.br_cnpj,
        ),
        _called("BR_CNPJ", "cnpj", rb"\d{14}", checks.br_cnpj, 14),
    ),
    _entity(
        "SG_NRIC",
        "A",
        "Singapore identity numbers.",
        _shaped(
            "SG_NRIC",
            r"[STFGMstfgm]\d{7}[A-Za-z]",
            rb"(?:[STFGM]\d{7}[A-Z]|[stfgm]\d{7}[a-z])",
            checks.nric,
            edge="word",
        ),
    ),
    _entity(
        "KR_RRN",
        "A",
        "Korean resident numbers.",
        _shaped("KR_RRN", r"\d{6}-[1-8]\d{6}", rb"\d{6}-[1-8]\d{6}", checks.krrrn, score=0.85),
        _called("KR_RRN", "rrn", rb"\d{13}", checks.krrrn, 13),
    ),
    _entity(
        "CN_RIC",
        "C",
        "Chinese identity numbers.",
        _shaped(
            "CN_RIC",
            r"\d{6}(?:18|19|20)\d{9}[0-9Xx]",
            rb"[1-9]\d{5}(?:18|19|20)\d{2}[01]\d[0-3]\d{4}[0-9Xx]",
            checks.cn_ric,
            edge="word",
        ),
    ),
    _entity(
        "ZA_ID",
        "C",
        "South African identity numbers.",
        _called("ZA_ID", "za_id", rb"\d{6} ?\d{4} ?[012]\d{2}", checks.za_id, 13),
    ),
    _entity(
        "TR_TCKN",
        "C",
        "Turkish identity numbers.",
        _called("TR_TCKN", "tckn", rb"[1-9]\d{10}", checks.tr_tckn, 11),
    ),
    _entity(
        "MX_CURP",
        "A",
        "Mexican population registry codes.",
        _shaped(
            "MX_CURP",
            r"[A-Za-z]{4}\d{6}[HMXhmx][A-Za-z]{5}",
            rb"(?i:[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d)",
            checks.mx_curp,
            edge="word",
        ),
    ),
)

_THINGS: Final = (
    _entity(
        "IMEI",
        "C",
        "Numbers of mobile devices.",
        _called("IMEI", "imei", rb"\d{2}([ -]?)\d{6}\1\d{6}\1\d", checks.imei_, 15),
    ),
    _entity(
        "VIN",
        "C",
        "Vehicle identification numbers.",
        Detector(
            entity="VIN",
            prefilter=r"(?i:" + ROUGH_START + r"vin[^a-z]|vehicle.?id|chassis)",
            pattern=rb"(?i:"
            + WORD_START
            + rb"vin(?![A-Za-z])|vehicle[^0-9A-Za-z]?id\w{0,14}|chassis)"
            rb"[^0-9A-Za-z\r\n]{0,6}(?:(?i:no|nr|number|is|code)[^0-9A-Za-z\r\n]{1,5}){0,3}"
            rb"(?P<v>(?=[A-Z]{0,16}\d)[0-9A-HJ-NPR-Z]{17})(?![0-9A-Za-z])",
            check=checks.vin,
            back=6,
            edge="none",
            bounded=False,
        ),
    ),
    _entity(
        "DATE_OF_BIRTH",
        "C",
        "Dates of birth, where a word says so.",
        Detector(
            entity="DATE_OF_BIRTH",
            prefilter=r"(?i:born|birth|"
            + ROUGH_START
            + r"dob|geboren|geburt|nacimiento|naissance)",
            pattern=rb"(?i:born|birth\w{0,8}|"
            + WORD_START
            + rb"dob|geboren|geburts\w{0,8}|nacimiento|naissance)[^0-9\r\n]{0,24}?(?P<v>"
            rb"\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{2,4}"
            rb"|\d{1,2}(?:st|nd|rd|th)?,? (?:of )?" + _MONTH + rb",? \d{4}"
            rb"|" + _MONTH + rb" \d{1,2}(?:st|nd|rd|th)?,? \d{4})(?![0-9A-Za-z])",
            check=checks.born,
            score=0.85,
            edge="none",
            bounded=False,
            back=6,
            ahead=96,
        ),
    ),
)

ENTITIES: Final = (*_US, *_BRITISH, *_EUROPE, *_ELSEWHERE, *_THINGS)
