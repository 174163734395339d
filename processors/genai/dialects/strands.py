"""Strands Agents. It names itself as the provider and writes milliseconds where the conventions say seconds.

Up to 1.10 it forwarded Converse's cache-exclusive count; the exact release of the change is not known.
Source: strands/telemetry/metrics.py, versions 1.10.0 and 1.62.0.
"""

from __future__ import annotations

from typing import Final

from processors.genai.table import Dialect, Emitter, Semantics

DIALECT: Final = Dialect(
    name="strands",
    emitters=(
        Emitter(scope=r"strands", version="<1.11", vendors={"aws.bedrock": Semantics.EXCLUSIVE}),
        Emitter(scope=r"strands", version=">=1.11", input=Semantics.INCLUSIVE),
        Emitter(scope=r"strands", input=None),
    ),
    scope=r"strands",
    milliseconds=frozenset({"gen_ai.server.time_to_first_token"}),
)
