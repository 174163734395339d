"""Words that make a number mean something, by name. RE2, looked for to the left of a candidate and in its key.

Words are stems where languages inflect. `<` and `>` stand for the borders of a word, inside JSON too, where `\\n` puts
a letter before it, and in keys (`userSsn`); `!` for the left border of a word that counts as a word of its own alone: a
`tool_call` is no call by telephone. Letters beyond ASCII are left out, since JSON may carry them as `\\u00e4`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

REACH: Final = 48
"""How many bytes left of a candidate are searched."""

_LEFT: Final = r"(?:^|[^0-9A-Za-z]|\\[nrtbf]|\\u[0-9a-f]{4})"
_RIGHT: Final = r"(?:$|[^0-9A-Za-z])"
_ALONE: Final = r"(?:^|[^0-9A-Za-z_.-]|\\[nrtbf]|\\u[0-9a-f]{4})"

_FIRST: Final = re.compile(r"(?!^)\(\?:[^()]*\)|(^\(\?:|^|\|)([a-z])")
"""The first letters of a word's alternatives; groups inside the word, which hold none, are passed over whole."""


def _words(words: Sequence[str]) -> str:
    """Return the pattern of any of these words, their borders spelt out."""
    pattern = "|".join(map(_in_camel_case, words))
    return pattern.replace("<", _LEFT).replace("!", _ALONE).replace(">", _RIGHT)


def _in_camel_case(word: str) -> str:
    """Let a word that needs a border begin inside a key, too: `ssn` in `userSsn`."""
    if not word.startswith("<"):
        return word
    capital = _FIRST.sub(_capital, word[1:])
    return f"(?:{word}|(?-i:[a-z]){capital})"


def _capital(match: re.Match[str]) -> str:
    return f"{match[1]}(?-i:{match[2].upper()})" if match[2] else match[0]


CONTEXTS: Final[Mapping[str, str]] = {
    name: _words(words)
    for name, words in {
        "phone": (
            r"phone",
            r"<tele?(?:fono?|fon|foon)?>",
            r"mobile",
            r"<(?:mob|cell|fax|handy|sms|movil|gsm|dial)>",
            r"!(?:ring|call(?:ed|ing)?)(?:$|[^0-9A-Za-z_])",
            r"whatsapp",
            r"reach(?:ed)? (?:me |him |her |us |them )?(?:at|on)",
            r"cellular",
            r"hotline",
            r"contact (?:number|no)",
            r"<text me",
        ),
        "card": (
            r"card",
            r"visa",
            r"master",
            r"amex",
            r"american express",
            r"credit",
            r"debit",
            r"payment",
            r"<(?:pan|cc)>",
            r"discover",
            r"diners",
            r"maestro",
        ),
        "ssn": (
            r"<ssn",
            r"social.?sec",
            r"soc\.? ?sec",
        ),
        "itin": (
            r"<itin",
            r"taxpayer",
        ),
        "npi": (
            r"<npi",
            r"provider",
        ),
        "nhs": (r"<nhs",),
        "utr": (
            r"<utr>",
            r"unique taxpayer",
        ),
        "ca_sin": (
            r"<sin>",
            r"social insurance",
            r"assurance sociale",
        ),
        "tfn": (
            r"<tfn",
            r"tax file",
        ),
        "abn": (
            r"<abn>",
            r"business number",
        ),
        "medicare": (r"medicare",),
        "aadhaar": (
            r"aadhaa?r",
            r"uidai",
        ),
        "pan": (
            r"<pan>",
            r"permanent account",
        ),
        "cpf": (r"<cpf",),
        "cnpj": (r"<cnpj",),
        "pt_nif": (
            r"<nif>",
            r"contribuinte",
        ),
        "nir": (
            r"<nir>",
            r"s.{1,6}curit.{1,8}sociale",
            r"insee",
        ),
        "steuer": (
            r"steuer",
            r"<(?:idnr|tax id)",
        ),
        "bsn": (
            r"<bsn",
            r"burgerservice",
            r"sofinummer",
        ),
        "pesel": (r"pesel",),
        "se_pnr": (
            r"personnummer",
            r"<(?:pnr|personnr)",
            r"identity code",
        ),
        "be_nn": (
            r"rijksregister",
            r"registre national",
            r"national number",
            r"<(?:nrn|niss|insz)",
        ),
        "pps": (r"<ppsn?>",),
        "rrn": (
            r"<rrn",
            r"resident reg",
        ),
        "za_id": (
            r"south afric",
            r"<(?:id number|id no|identity number)",
        ),
        "tckn": (
            r"kimlik",
            r"<tckn",
        ),
        "imei": (
            r"<imei",
            r"device id",
        ),
        "aba": (
            r"routing",
            r"<(?:aba|rtn)>",
            r"wire",
        ),
        "wallet": (
            r"wallet",
            r"address",
            r"<(?:eth|ethereum|usd[ct]|erc20|send|coin)>",
        ),
        "version": (
            r"<(?:v|ver|version|release|build|section|sections|chapter|oid|rfc|iso|clause|paragraph|firmware|kernel|chrome|assembly\w*)[\W_]{0,3}$",
            r"[a-z]/$",
            r"\d\.$",
        ),
        "counting": (
            r"<(?:isbn|sku|order|invoice|tracking|seed|size|lines?|pages?|port|commit|token_ids|issue|ticket|serial|part|model|batch|bytes|tokens?|timestamp|epoch|nano\w*|time\w*)[\W_]{0,3}(?:(?:no|nr|number|id)[\W_]{1,3})?$",
        ),
    }.items()
}
