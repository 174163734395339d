"""Keys, tokens and passwords. Prefixes as their issuers document them (2026-08)."""

from __future__ import annotations

import re
from typing import Final

from processors.redaction.detectors import checks
from processors.redaction.detectors.checks import Check
from processors.redaction.detectors.model import Detector, Edge, Entity, Group

_WORDS: Final = "[0-9A-Za-z]"
_DASHED: Final = "[0-9A-Za-z_-]"
_HEX: Final = "[0-9a-f]"


def varied(value: bytes) -> bool:
    """Check that a token is no placeholder: letters and digits that do not repeat."""
    return checks.entropy(value) >= 3


def bearer(value: bytes) -> bool:
    """Check that a token is no word: digits, or capitals in its middle."""
    return checks.random_looking(value) or (
        varied(value) and re.search(rb"[a-z][A-Z].*[A-Z]", value) is not None
    )


def _entity(name: str, about: str, *detectors: Detector, group: Group = "A") -> Entity:
    return Entity(name=name, group=group, about=about, detectors=detectors)


def _token(
    name: str,
    about: str,
    prefixes: str,
    letters: str,
    least: int,
    most: int | None = None,
    check: Check = checks.random_looking,
) -> Entity:
    """Make an entity whose tokens begin with one of the prefixes and go on with `least` to `most` of the letters."""
    head = "|".join(re.escape(prefix) for prefix in prefixes.split())
    bound = f"{{{least},}}+" if most is None else f"{{{least},{most}}}"
    detector = Detector(
        entity=name,
        prefilter=f"(?:{head}){letters}{{{min(least, 16)}}}",
        pattern=f"(?:{head}){letters}{bound}".encode(),
        check=check,
        ahead=320,
        score=0.95,
    )
    return _entity(name, about, detector)


def _shaped(
    name: str,
    about: str,
    prefilter: str,
    pattern: bytes,
    check: Check | None = None,
    edge: Edge = "word",
    back: int = 0,
) -> Entity:
    """Make an entity whose tokens have a shape of their own."""
    detector = Detector(
        entity=name,
        prefilter=prefilter,
        pattern=pattern,
        check=check,
        back=back,
        ahead=320,
        edge=edge,
        bounded=edge == "word",
        score=0.95,
    )
    return _entity(name, about, detector)


_UUID: Final = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_TOKENS: Final = (
    _shaped(
        "OPENAI_KEY",
        "OpenAI keys.",
        rf"sk-{_DASHED}{{18}}",
        rb"sk-(?:proj-|svcacct-|admin-|None-)?(?!ant-|or-v1-|lf-)[A-Za-z0-9_-]{20,}+",
        checks.random_looking,
    ),
    _token("ANTHROPIC_KEY", "Anthropic keys.", "sk-ant-", _DASHED, 20),
    _token("OPENROUTER_KEY", "OpenRouter keys.", "sk-or-v1-", _HEX, 32),
    _shaped(
        "LANGFUSE_KEY", "Langfuse keys.", rf"[sp]k-lf-{_HEX}{{8}}", rf"[sp]k-lf-{_UUID}".encode()
    ),
    _shaped(
        "LANGSMITH_KEY",
        "LangSmith keys.",
        rf"lsv2_(?:pt|sk)_{_HEX}{{12}}",
        rb"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{8,12}",
    ),
    _token("GROQ_KEY", "Groq keys.", "gsk_", _WORDS, 32),
    _token("PERPLEXITY_KEY", "Perplexity keys.", "pplx-", _WORDS, 32),
    _token("XAI_KEY", "xAI keys.", "xai-", _WORDS, 40),
    _token("REPLICATE_KEY", "Replicate keys.", "r8_", _WORDS, 32),
    _token("HF_TOKEN", "Hugging Face tokens.", "hf_ api_org_", _WORDS, 30, check=varied),
    _token("GOOGLE_API_KEY", "Google API keys.", "AIza", _DASHED, 33, 39, varied),
    _token(
        "GITHUB_TOKEN", "GitHub tokens.", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", "[0-9A-Za-z_]", 36
    ),
    _token(
        "GITLAB_TOKEN",
        "GitLab tokens.",
        "glpat- gldt- glrt- glptt- glft- glsoat- glcbt- glagent- glimt-",
        _DASHED,
        20,
        check=varied,
    ),
    _token("NPM_TOKEN", "npm tokens.", "npm_", _WORDS, 36, 36),
    _token("PYPI_TOKEN", "PyPI tokens.", "pypi-AgE", _DASHED, 50),
    _token("DO_TOKEN", "DigitalOcean tokens.", "dop_v1_ doo_v1_ dor_v1_", _HEX, 64, 64),
    _token(
        "SHOPIFY_TOKEN", "Shopify tokens.", "shpat_ shpca_ shppa_ shpss_", "[0-9a-fA-F]", 32, 32
    ),
    _token(
        "STRIPE_KEY",
        "Stripe keys.",
        "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_ whsec_",
        _WORDS,
        10,
        check=varied,
    ),
    _shaped(
        "SENDGRID_KEY",
        "SendGrid keys.",
        rf"SG\.{_DASHED}{{16}}",
        rb"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}",
    ),
    _token(
        "SLACK_TOKEN",
        "Slack tokens.",
        "xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- xapp- xoxe.xox",
        "[0-9A-Za-z.-]",
        20,
    ),
    _shaped(
        "SLACK_WEBHOOK",
        "Slack webhooks.",
        r"hooks\.slack\.com/",
        rb"(?:https?://)?hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}+",
        edge="none",
        back=8,
    ),
    _shaped(
        "TELEGRAM_BOT",
        "Telegram bot tokens.",
        rf"\d{{5}}:A{_DASHED}{{16}}",
        rb"(?<![0-9])\d{5,16}:A[A-Za-z0-9_-]{32,36}(?![A-Za-z0-9_-])",
        edge="none",
        back=12,
    ),
    _token("TWILIO_KEY", "Twilio keys.", "SK AC", _HEX, 32, 32, varied),
    _token(
        "AWS_ACCESS_KEY",
        "AWS access key ids.",
        "AKIA ASIA ABIA ACCA AROA",
        "[A-Z0-9]",
        16,
        16,
        varied,
    ),
    _shaped(
        "AZURE_KEY",
        "Azure account keys and shared access signatures.",
        r"(?i:AccountKey|SharedAccessKey|[?&;]sig)=",
        rb"(?:(?i:AccountKey|SharedAccessKey)=|[?&]sig=)(?P<v>[A-Za-z0-9+/%]{40,}+={0,2})",
        edge="none",
    ),
    _shaped(
        "JWT",
        "JSON web tokens.",
        rf"eyJ{_DASHED}{{8}}",
        rb"eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]{10,}+)?",
        checks.jwt,
    ),
    _shaped(
        "DB_PASSWORD",
        "Passwords inside URLs.",
        r"://[^\s/:@\"'<>]*:[^\s/@\"'<>]",
        rb"://[^\s/:@\"'<>]{0,64}:(?P<v>[^\s/@\"'<>\\]{1,128})@[0-9A-Za-z\[]",
        checks.url_password,
        edge="none",
    ),
)

_CLOSING: Final = rb"(?:\\{0,7}[\"']|\*\*)?"
"""What may follow a name: the quote of JSON, also inside JSON, or Markdown's stars."""
_OPENING: Final = rb"(?:\\{0,7}[\"']|(?:\*\*[ \t]?)?`?)"
"""What may precede its value."""
_NAMED: Final = (
    _entity(
        "AWS_SECRET_KEY",
        "AWS secret keys, behind their name.",
        Detector(
            entity="AWS_SECRET_KEY",
            prefilter=r"(?i:secret_?access_?key|aws_?secret)",
            pattern=rb"(?i:secret[_-]?access[_-]?key|aws[_-]?secret[_-]?(?:access[_-]?)?(?:key)?)[^0-9A-Za-z/+\r\n]{1,12}"
            rb"(?P<v>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
            check=checks.random_looking,
            score=0.95,
            back=16,
            ahead=128,
            edge="none",
            bounded=False,
        ),
        group="C",
    ),
    _entity(
        "BEARER_TOKEN",
        "Tokens behind `Bearer` and credentials behind `Basic`.",
        Detector(
            entity="BEARER_TOKEN",
            prefilter=r"(?i:bearer)[ \t:\"'%+\\]{1,6}[0-9A-Za-z._~+/-]{8}",
            pattern=rb"(?i:bearer)(?:[ \t:\"'\\]|%20|\+){1,6}(?P<v>[0-9A-Za-z._~+/-]{16,}+=*)",
            check=bearer,
            ahead=320,
            score=0.95,
            edge="none",
            bounded=False,
        ),
        Detector(
            entity="BEARER_TOKEN",
            prefilter=r"(?i:basic) [0-9A-Za-z+/]{8}",
            pattern=rb"(?i:basic) (?P<v>[0-9A-Za-z+/]{8,}+={0,2})",
            check=checks.basic_auth,
            ahead=320,
            edge="none",
            bounded=False,
        ),
    ),
    _entity(
        "PRIVATE_KEY",
        "Private keys: PEM, OpenSSH, PGP; one that is cut off ends with its text.",
        Detector(
            entity="PRIVATE_KEY",
            prefilter=r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
            pattern=rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----[^-]{16,16384}+"
            rb"(?:-----END [A-Z0-9 ]{1,40}-----)?",
            ahead=20000,
            score=0.98,
            edge="none",
            bounded=False,
        ),
    ),
    _entity(
        "PASSWORD",
        "Values that are called a password.",
        Detector(
            entity="PASSWORD",
            prefilter=r"(?i:pass(?:word|wd|phrase|code)|pwd|passwort)[\\\"'*]{0,8}[ \t]{0,3}(?:[:=]|is|was|ist)",
            pattern=rb"(?i:pass(?:word|wd|phrase|code)|pwd|passwort)"
            + _CLOSING
            + rb"(?:[ \t]{0,3}(?:[:=]|=>|:=)[ \t]{0,3}|[ \t](?:is|was|ist|:)[ \t:]{1,3})"
            + _OPENING
            + rb"(?P<v>[^\s\"'`\\<>|,;]{6,128})",
            check=checks.password,
            ahead=200,
            score=0.8,
            edge="none",
            bounded=False,
        ),
        Detector(
            entity="PASSWORD",
            prefilter=r"(?:-u|--user)[ =]['\"]?[^\s:'\"]*:[^\s'\"]",
            pattern=rb"(?:-u|--user)[ =]['\"]?[^\s:'\"]{1,64}:(?P<v>[^\s'\"\\]{4,128})",
            check=checks.url_password,
            ahead=200,
            score=0.85,
            edge="none",
            bounded=False,
        ),
        group="C",
    ),
    _entity(
        "GENERIC_SECRET",
        "Values that are called a secret, token or API key.",
        Detector(
            entity="GENERIC_SECRET",
            prefilter=r"(?i:secret|token|(?:api|access|private|secret)[_-]?key|credentials?|auth)[\\\"'*]{0,8}"
            r"[ \t]{0,3}(?:[:=]|=>)",
            pattern=rb"(?i:secret|token|(?:api|access|private|secret)[_-]?key|credentials?|auth)"
            + _CLOSING
            + rb"[ \t]{0,3}(?::|=>?|:=)[ \t]{0,3}"
            + _OPENING
            + rb"(?P<v>[A-Za-z0-9_+/.~-]{16,512}+={0,2})",
            check=checks.generic_secret,
            score=0.75,
            edge="none",
            bounded=False,
        ),
        group="C",
    ),
)

ENTITIES: Final = (*_TOKENS, *_NAMED)
