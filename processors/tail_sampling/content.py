"""Attribute keys under which instrumentations put prompts, answers, arguments and documents.

One row an emitter; `*` stands for anything. Read in the emitters' sources, 2026-08 (the coverage list of the README).
Numbers and booleans are never content, whatever their key: `llm.token_count.prompt` is a count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import cache, lru_cache
from typing import Final

_CONTENT: Final[Mapping[str, tuple[str, ...]]] = {
    "OpenTelemetry": (
        "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions",
        "gen_ai.tool.definitions", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
        "gen_ai.tool.description", "gen_ai.agent.description", "gen_ai.retrieval.query.text",
        "gen_ai.retrieval.documents", "gen_ai.prompt.variable.*", "gen_ai.memory.*",
        "gen_ai.evaluation.explanation", "gen_ai.prompt", "gen_ai.completion", "gen_ai.event.content",
        "exception.message", "exception.stacktrace", "error.message",
    ),
    "Traceloop": (
        "gen_ai.prompt.*", "gen_ai.completion.*", "llm.prompts.*", "llm.completions.*",
        "llm.request.functions.*", "traceloop.entity.input", "traceloop.entity.output",
        "traceloop.association.properties.*", "traceloop.prompt.template",
        "traceloop.prompt.template_variables.*", "gen_ai.task.name", "gen_ai.task.input",
        "gen_ai.task.output", "gen_ai.headers", "llm.headers", "gen_ai.user", "llm.user",
        "gen_ai.request.structured_output_schema", "mcp.request.argument", "mcp.response.value",
        "pinecone.*", "db.*.where*", "db.query.*",
    ),
    "OpenInference": (
        "input.value", "output.value", "input.images", "output.*", "llm.input_messages.*",
        "llm.output_messages.*", "llm.prompts*", "llm.choices*", "llm.function_call",
        "llm.invocation_parameters", "llm.tools.*", "llm.prompt_template.template",
        "llm.prompt_template.variables", "tool.parameters", "tool.json_schema", "tool_call.*",
        "message.*", "message_content.*", "retrieval.documents.*", "reranker.*",
        "embedding.embeddings.*", "document.*", "image.url", "audio.url", "audio.transcript",
        "video.url", "metadata", "tag.tags", "annotation*.explanation", "evaluation*.explanation",
    ),
    "OpenLIT": (
        "gen_ai.content.*", "gen_ai.tool.input", "gen_ai.tool.output", "gen_ai.tool.args",
        "gen_ai.workflow.input", "gen_ai.workflow.output", "gen_ai.agent.context",
        "gen_ai.agent.task", "gen_ai.agent.goal", "gen_ai.agent.instructions",
        "gen_ai.agent.expected_output", "gen_ai.agent.actual_output", "gen_ai.agent.human_input",
        "gen_ai.agent.action.tool_input", "gen_ai.agent.action.log", "gen_ai.agent.finish.output",
        "gen_ai.agent.finish.log", "gen_ai.framework.pipeline.*_data", "gen_ai.retrieval.query",
        "db.statement", "gen_ai.crawl.*",
    ),
    "Vercel AI SDK": (
        "ai.prompt*", "ai.response.text", "ai.response.reasoning", "ai.response.toolCalls",
        "ai.response.files", "ai.response.object", "ai.result.text", "ai.result.object",
        "ai.result.toolCalls", "ai.toolCall.args", "ai.toolCall.result", "ai.value", "ai.values",
        "ai.embedding", "ai.embeddings", "ai.documents", "ai.ranking", "ai.schema*",
        "ai.settings.context.*", "ai.telemetry.metadata.*", "ai.request.headers.*",
        "ai.response.providerMetadata",
    ),
    "LangSmith": (
        "langsmith.metadata.*", "langsmith.request.headers", "gen_ai.request.extra_query",
        "gen_ai.request.extra_body", "gen_ai.serialized.*", "langsmith.span.tags",
    ),
    "Langfuse": (
        "langfuse.observation.input", "langfuse.observation.output",
        "langfuse.observation.metadata*", "langfuse.observation.status_message",
        "langfuse.trace.input", "langfuse.trace.output", "langfuse.trace.metadata*",
        "langfuse.trace.name", "langfuse.trace.tags", "langfuse.experiment.*",
    ),
    "MLflow": (
        "mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.chat.tools",
        "mlflow.trace.intermediate_outputs", "mlflow.traceTag.*",
    ),
    "Pydantic AI, Logfire": (
        "pydantic_ai.all_messages", "all_messages_events", "events", "final_result",
        "tool_arguments", "tool_response", "model_request_parameters", "request_data",
        "response_data", "prompt", "logfire.msg",
    ),
    "Google ADK": (
        "gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response",
        "gcp.vertex.agent.tool_call_args", "gcp.vertex.agent.tool_response",
        "gcp.vertex.agent.data", "gen_ai.skill.*",
    ),
    "Strands, Azure": (
        "gen_ai.agent.tools", "gen_ai.request.tools", "gen_ai.request.structured_inputs",
        "workflow.definition",
    ),
    "Spring AI, LangChain4j": (
        "spring.ai.tool.call.arguments", "spring.ai.tool.call.result",
        "spring.ai.tool.definition.schema", "db.vector.query.content", "db.vector.query.filter",
        "db.vector.query.response.documents",
    ),
    "LiteLLM": (
        "llm.*.stringified_raw_response", "metadata.*", "hidden_params", "litellm.metadata.*",
        "litellm.team.metadata", "guardrail_response", "litellm.guardrail.response",
        "masked_entity_count", "litellm.provider.error.stack_trace", "error",
    ),
    "Haystack, CrewAI": (
        "haystack.*.input*", "haystack.*.output*", "haystack.agent.*", "crewai.crew.inputs",
        "crewai.crew.output", "crewai.task.description", "crewai.task.expected_output",
        "crewai.task.output", "crewai.flow.inputs", "crewai.flow.result",
    ),
    "agents on the command line": (
        "user_prompt", "new_context", "response.model_output", "tool_input", "full_command",
        "file_path", "system_prompt*", "tool_parameters", "tool_result*", "arguments", "output",
        "request_text", "response_text", "function_args", "reasoning", "mcp_servers",
    ),
    "others": (
        "anthropic.tool_result.content", "url.full", "url.query", "genkit:input",
        "genkit:output", "lk.user_input", "lk.user_transcript", "lk.chat_ctx", "lk.input_text",
        "lk.response.text", "lk.response.function_calls", "lk.instructions",
        "lk.function_tool.*", "lmnr.span.input", "lmnr.span.output", "input", "agent.messages",
        "llm.messages", "flue.*", "gen_ai.request.messages", "gen_ai.response.text",
        "gen_ai.request.available_tools",
    ),
}  # fmt: skip

_EVENTS: Final = (
    "gen_ai.*.message", "gen_ai.choice", "gen_ai.content.*", "llm.content.completion.chunk",
    "gen_ai.client.inference.operation.details", "memory.query", "memory.content",
    "db.query.result", "db.search.result", "db.query.embeddings", "tool.output",
)  # fmt: skip
"""Names of events all of whose attributes are content."""


@cache
def _any_of(globs: tuple[str, ...]) -> re.Pattern[str]:
    """Compile when content is first looked for: most configurations never do, and it takes 20 ms."""
    return re.compile("|".join(translate(glob) for glob in globs))


_KEYS: Final = tuple(glob for globs in _CONTENT.values() for glob in globs)


@lru_cache(maxsize=4096)
def is_content(key: str) -> bool:
    """Say whether an attribute's text or list is content by its key."""
    return _any_of(_KEYS).match(key) is not None


@lru_cache(maxsize=1024)
def is_content_event(name: str) -> bool:
    """Say whether an event carries content in whatever attributes it has."""
    return _any_of(_EVENTS).match(name) is not None
