"""Cards, accounts and wallets."""

from __future__ import annotations

from typing import Final

from processors.redaction.detectors import checks
from processors.redaction.detectors.model import NUMBER, WORD_START, Detector, Entity

# Quotes in JSON inside JSON stand behind backslashes.
_MARK: Final = rb"(?:\\{0,7}[^0-9A-Za-z\r\n\\])"
_GAP: Final = (
    _MARK
    + rb"{0,4}(?i:(?:number|num|no|nr|is|was|code|id|os|es|ist|to|of|and)"
    + _MARK
    + rb"{1,4}){0,3}"
)

CREDIT_CARD: Final = Entity(
    name="CREDIT_CARD",
    group="A",
    about="Payment card numbers: brand, length and Luhn.",
    detectors=(
        Detector(
            entity="CREDIT_CARD",
            prefilter=r"\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,4}|\d{4}[ -]\d{6}[ -]\d{4}",
            pattern=rb"\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}",
            check=checks.card,
            score=0.98,
            edge="listed",
        ),
        Detector(
            entity="CREDIT_CARD",
            prefilter=r"[2-6]\d{12}",
            # 13, 16 and 19 digits that begin with 16 to 18 are times since 1970; no card does.
            pattern=rb"[2-6]\d{12,18}",
            check=checks.card,
            without="counting",
            score=0.9,
            edge="listed",
        ),
        Detector(
            entity="CREDIT_CARD",
            prefilter=NUMBER,
            pattern=rb"\d(?:[ -]?\d){11,18}",
            check=checks.card_by_context,
            context="card",
            digits=12,
            without="counting",
            score=0.9,
            edge="listed",
        ),
    ),
)

CVV: Final = Entity(
    name="CVV",
    group="C",
    about="Card verification codes, where one is named.",
    detectors=(
        Detector(
            entity="CVV",
            prefilter=r"(?i:cv[vc]2?|security code)\W{1,6}(?:(?:is|code)\W{1,3})?\d{3}",
            back=6,
            edge="none",
            bounded=False,
            pattern=rb"(?i:cv[vc]2?|card security code)[^0-9A-Za-z\n]{1,6}(?:(?:is|code)\W{1,3})?"
            rb"(?P<v>\d{3,4})(?![0-9A-Za-z])",
        ),
    ),
)

_COUNTRIES: Final = "|".join(country.decode() for country in checks.IBAN_LENGTHS)
IBAN: Final = Entity(
    name="IBAN",
    group="A",
    about="International bank account numbers: country, length and mod 97.",
    detectors=(
        Detector(
            entity="IBAN",
            prefilter=rf"(?i:{_COUNTRIES})\d{{2}}[ -]?[0-9A-Za-z]{{4}}[ -]?[0-9A-Za-z]{{4}}[ -]?[0-9A-Za-z]{{3}}",
            pattern=rb"[A-Za-z]{2}\d{2}(?:[ -]?[0-9A-Za-z]){11,31}",
            edge="iban",
            trim=checks.iban_part,
            check=checks.iban_mod97,
            score=0.98,
        ),
    ),
)

SWIFT_BIC: Final = Entity(
    name="SWIFT_BIC",
    group="C",
    about="Bank identifier codes, where one is named.",
    detectors=(
        Detector(
            entity="SWIFT_BIC",
            prefilter=r"(?i:swift|bic[^a-z])",
            bounded=False,
            pattern=WORD_START
            + rb"(?i:swift(?:[/ -]?bic)?|bic)(?i:[-_ ]?code)?"
            + _GAP
            + rb"(?P<v>[A-Z]{6}[0-9A-Z]{2}(?:[0-9A-Z]{3})?)(?![0-9A-Za-z_])",
            edge="none",
            check=checks.swift,
            score=0.85,
        ),
    ),
)

US_BANK: Final = Entity(
    name="US_BANK",
    group="C",
    about="Bank account numbers, where an account is named.",
    detectors=(
        Detector(
            entity="US_BANK",
            prefilter=r"(?i:account|acct|a/c)\.?(?:[^0-9A-Za-z\r\n]{0,4}(?i:number|num|no|nr|is|was|ending)){0,3}"
            r"(?:\\{0,7}[^0-9A-Za-z\r\n\\]){0,5}\d{6}",
            back=48,
            bounded=False,
            pattern=WORD_START
            + rb"(?i:(?:bank|checking|savings?|deposit|wire|giro|routing[^\n]{0,30})[ _-]?"
            rb"(?:account|acct)|acct|account|a/c)"
            rb"\.?(?:[^0-9A-Za-z\r\n]{0,4}(?i:number|num|no|nr|is|was|ending)){0,3}"
            + _MARK
            + rb"{0,5}"
            rb"(?P<v>\d{6,17})(?![0-9A-Za-z_])",
            edge="none",
            without="counting",
            score=0.7,
        ),
    ),
)

ABA_ROUTING: Final = Entity(
    name="ABA_ROUTING",
    group="C",
    about="US bank routing numbers: checksum and a word that announces one.",
    detectors=(
        Detector(
            entity="ABA_ROUTING",
            prefilter=NUMBER,
            pattern=rb"\d{9}|\d{4}-\d{4}-\d",
            digits=9,
            check=lambda value: checks.us_rtn(checks.digits(value)),
            context="aba",
            score=0.85,
            edge="listed",
        ),
    ),
)

WALLETS: Final = (
    Entity(
        name="BTC_ADDRESS",
        group="A",
        about="Bitcoin addresses: base58check or bech32.",
        detectors=(
            Detector(
                entity="BTC_ADDRESS",
                prefilter=r"[13][1-9A-HJ-NP-Za-km-z]{25}|(?i:bc1[02-9ac-hj-np-z]{20})",
                pattern=rb"[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?i:bc1[02-9ac-hj-np-z]{11,71})",
                check=checks.btc,
                score=0.98,
            ),
        ),
    ),
    Entity(
        name="ETH_ADDRESS",
        group="C",
        about="Ethereum addresses, near a word such as 'wallet'.",
        detectors=(
            Detector(
                entity="ETH_ADDRESS",
                prefilter=r"0[xX][0-9a-fA-F]{40}",
                pattern=rb"0[xX][0-9a-fA-F]{40}",
                context="wallet",
                score=0.85,
            ),
        ),
    ),
)

ENTITIES: Final = (CREDIT_CARD, CVV, IBAN, SWIFT_BIC, US_BANK, ABA_ROUTING, *WALLETS)
