"""What the invented applications tell of a call beside who, what and how many tokens.

It has a chance of its own, so that the traffic stays the same whatever is told of it.
"""

from __future__ import annotations

import random
from typing import Final

_LANGUAGES: Final = ("en", "en", "en", "de", "es", "ja")
_MISHAPS: Final[tuple[dict[str, object], ...]] = (
    {"app.llm.validation.error_class": "json_parse"},
    {"app.llm.refusal": True},
    {"app.llm.guardrail.rejected": True},
    {"app.llm.budget_exceeded": True},
)
_LIMITS: Final[dict[str, object]] = {
    "http.response.header.x-ratelimit-limit-tokens": ["200000"],
    "http.response.header.x-ratelimit-limit-requests": ["500"],
}


class Teller:
    """Tells of one call after the other."""

    def __init__(self, seed: int) -> None:
        self._rnd = random.Random(seed)  # noqa: S311 - invented data

    def call(self, feature: str, provider: str, took_s: float) -> dict[str, object]:
        """Return attributes of a call that was streamed."""
        rnd = self._rnd
        version = "v2" if feature == "summaries" and rnd.random() < 0.25 else "v1"
        told: dict[str, object] = {
            "app.llm.ttft_s": round(took_s * rnd.uniform(0.08, 0.3), 4),
            "app.llm.prompt.template.version": version,
            "app.llm.prompt.template.sha": f"{feature}{version}".encode().hex()[-12:],
            "app.llm.prompt.language": rnd.choice(_LANGUAGES),
        }
        if provider == "openai":
            left = {"tokens": rnd.randint(60_000, 150_000), "requests": rnd.randint(350, 450)}
            told |= _LIMITS
            told |= {
                f"http.response.header.x-ratelimit-remaining-{kind}": [str(n)]
                for kind, n in left.items()
            }
        if rnd.random() < 0.03:
            told |= rnd.choice(_MISHAPS)
        return told

    def failure(self) -> dict[str, object]:
        """Return attributes of a call that got no answer."""
        return {"app.llm.retry_count": self._rnd.randint(0, 2)}
