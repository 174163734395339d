"""Spring AI (2026-08), through Micrometer: every value is text."""

from __future__ import annotations

from typing import Final

from processors import semconv
from processors.genai.table import Alias, Dialect, Emitter, Hint, Kind, Role, Semantics

_EXCLUSIVE: Final = {"anthropic": Semantics.EXCLUSIVE, "aws.bedrock": Semantics.EXCLUSIVE}

DIALECT: Final = Dialect(
    name="spring_ai",
    aliases={
        semconv.GEN_AI_CONVERSATION_ID: (Alias("spring.ai.chat.client.conversation.id", 50),),
    },
    kinds=(
        Kind(
            "spring.ai.kind",
            110,
            {
                "chat_client": Hint(Role.AGGREGATE),
                "advisor": Hint(Role.AGGREGATE),
                "tool_call": Hint(Role.TOOL, "execute_tool"),
                "vector_store": Hint(Role.OTHER),
            },
            unknown=None,
        ),
    ),
    emitters=tuple(
        Emitter(scope=scope, key=key, input=Semantics.INCLUSIVE, vendors=_EXCLUSIVE)
        for scope, key in (
            ("", "spring.ai.*"),
            (r"org\.springframework", ""),
            (r"io\.micrometer", ""),
        )
    ),
)
