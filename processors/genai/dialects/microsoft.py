"""Microsoft: Agent Framework 1.23, Semantic Kernel 1.45, Azure AI inference, agents and projects.

Sources: agent_framework observability.py, its Anthropic client; semantic_kernel utils/telemetry; azure/ai tracing.py.
"""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import Alias, Dialect, Emitter, Semantics

DIALECT: Final = Dialect(
    name="microsoft",
    aliases={semconv.GEN_AI_CONVERSATION_ID: (Alias("gen_ai.thread.id", 70),)},
    emitters=(
        Emitter(scope=r"agent_framework", input=Semantics.INCLUSIVE, claude=Semantics.EXCLUSIVE),
        Emitter(scope=r"azure\.ai\.", input=Semantics.INCLUSIVE),
        Emitter(scope=r"semantic_kernel", input=Semantics.INCLUSIVE, drops_cache_split=True),
    ),
    sdk=(r"azure\.ai\.inference",),
)
