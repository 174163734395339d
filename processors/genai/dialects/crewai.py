"""CrewAI 1.15's own spans (OpenLLMetry's for CrewAI are in `traceloop`)."""

from __future__ import annotations

from typing import Final

from processors.genai.table import Dialect, Emitter, Semantics

DIALECT: Final = Dialect(
    name="crewai",
    emitters=(
        Emitter(
            scope=r"crewai$",
            input=Semantics.INCLUSIVE,
            vendors={"aws.bedrock": Semantics.EXCLUSIVE},
        ),
    ),
)
