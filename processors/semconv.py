"""Attribute names, grouped by where they are defined.

Foreign names that only one component reads stand in that component's tables; here is what several share.
"""

from __future__ import annotations

from typing import Final

# GenAI semantic conventions 1.41 (the last names before the move to semantic-conventions-genai).
# https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-spans.md
GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GEN_AI_USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_USAGE_CACHE_CREATION: Final = "gen_ai.usage.cache_creation.input_tokens"
GEN_AI_USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"

# Ours: what `genai` decides about a call. Meaning and types: README, "Attributes".
APP_LLM_SPAN_CLASS: Final = "app.llm.span.class"
APP_LLM_CONVERSATION_ID: Final = "app.llm.conversation.id"
APP_LLM_USAGE_INPUT_SEMANTICS: Final = "app.llm.usage.input_semantics"
APP_LLM_USAGE_SOURCE_INPUT: Final = "app.llm.usage.source.input_tokens"
APP_LLM_USAGE_SOURCE_OUTPUT: Final = "app.llm.usage.source.output_tokens"
APP_LLM_USAGE_CACHE_CREATION_1H: Final = "app.llm.usage.cache_creation_1h.input_tokens"
APP_LLM_USAGE_COMPACTION_INPUT: Final = "app.llm.usage.compaction.input_tokens"
APP_LLM_USAGE_COMPACTION_OUTPUT: Final = "app.llm.usage.compaction.output_tokens"
APP_LLM_USAGE_QUALITY: Final = "app.llm.usage.quality"
APP_LLM_USAGE_BASIS: Final = "app.llm.usage.basis"
APP_LLM_USAGE_REPORTED_COST_USD: Final = "app.llm.usage.reported_cost_usd"
APP_LLM_USAGE_WEB_SEARCHES: Final = "app.llm.usage.web_searches"
APP_LLM_USAGE_IMAGES: Final = "app.llm.usage.images"
APP_LLM_USAGE_AUDIO_SECONDS: Final = "app.llm.usage.audio_seconds"
APP_LLM_PROCESSING: Final = "app.llm.processing"
APP_LLM_SPEED: Final = "app.llm.speed"
APP_LLM_REGION: Final = "app.llm.region"
APP_LLM_TTFT_S: Final = "app.llm.ttft_s"
APP_LLM_COST_SKIP_REASON: Final = "app.llm.cost.skip_reason"

# Ours: business dimensions, looked up under many names (`processors/genai/dimensions.py`).
APP_LLM_FEATURE: Final = "app.llm.feature"
APP_LLM_TENANT_ID: Final = "app.llm.tenant.id"
APP_LLM_PROMPT_TEMPLATE_ID: Final = "app.llm.prompt.template.id"
APP_LLM_PROMPT_TEMPLATE_VERSION: Final = "app.llm.prompt.template.version"
APP_LLM_PROMPT_TEMPLATE_SHA: Final = "app.llm.prompt.template.sha"
APP_LLM_EXPERIMENT_ID: Final = "app.llm.experiment.id"
APP_LLM_EXPERIMENT_VARIANT: Final = "app.llm.experiment.variant"
APP_LLM_DATA_MODE: Final = "app.llm.data_mode"
APP_LLM_REQUEST_EXTERNAL_ID: Final = "app.llm.request.external_id"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
USER_ID: Final = "user.id"

# Ours: what `llm_cost` writes, as `llm_metrics` reads it. Meaning and types: README, "Attributes".
APP_LLM_COST_USD: Final = "app.llm.cost_usd"
APP_LLM_COST_STATUS: Final = "app.llm.cost.status"
APP_LLM_COST_REASON: Final = "app.llm.cost.reason"
APP_LLM_COST_PRICE_SOURCE: Final = "app.llm.cost.price_source"

# Ours: what applications tell about a call, for metrics. Meaning and types: README, "Attributes".
APP_LLM_TOTAL_LATENCY_S: Final = "app.llm.total_latency_s"
APP_LLM_VALIDATION_ERROR_CLASS: Final = "app.llm.validation.error_class"
APP_LLM_GUARDRAIL_REJECTED: Final = "app.llm.guardrail.rejected"
APP_LLM_REFUSAL: Final = "app.llm.refusal"
APP_LLM_PROMPT_LANGUAGE: Final = "app.llm.prompt.language"
APP_LLM_RETRY_COUNT: Final = "app.llm.retry_count"
APP_LLM_BUDGET_EXCEEDED: Final = "app.llm.budget_exceeded"
APP_LLM_CONVERSATION_EXPENSIVE: Final = "app.llm.conversation.expensive"

# Semantic conventions 1.41: errors, HTTP, services.
# https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/registry/attributes/error.md
ERROR_TYPE: Final = "error.type"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"

# HTTP, URL and database names, current and before 1.25: what makes a span an HTTP or database call.
# https://github.com/open-telemetry/semantic-conventions/blob/v1.40.0/docs/registry/attributes/{http,url,db}.md
HTTP_ROUTE: Final = "http.route"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_SCHEME: Final = "http.scheme"
HTTP_TARGET: Final = "http.target"
HTTP_METHOD: Final = "http.method"
HTTP_URL: Final = "http.url"
URL_FULL: Final = "url.full"
DB_SYSTEM_NAME: Final = "db.system.name"
DB_SYSTEM: Final = "db.system"

# Ours: how a cost came about, and what follows from usage. Meaning and types: README, "Attributes".
APP_LLM_COST_PRICE_VERSION: Final = "app.llm.cost.price_version"
APP_LLM_COST_PRICE_MODEL: Final = "app.llm.cost.price_model"
APP_LLM_COST_MATCH: Final = "app.llm.cost.match"
APP_LLM_COST_EFFECTIVE_FROM: Final = "app.llm.cost.effective_from"
APP_LLM_COST_TIER: Final = "app.llm.cost.tier"
APP_LLM_COST_VARIANT: Final = "app.llm.cost.variant"
APP_LLM_COST_INPUT_USD: Final = "app.llm.cost.input_usd"
APP_LLM_COST_OUTPUT_USD: Final = "app.llm.cost.output_usd"
APP_LLM_COST_CACHE_READ_USD: Final = "app.llm.cost.cache_read_usd"
APP_LLM_COST_CACHE_WRITE_USD: Final = "app.llm.cost.cache_write_usd"
APP_LLM_COST_FEES_USD: Final = "app.llm.cost.fees_usd"
APP_LLM_CONVERSATION_CUMULATIVE_TOKENS: Final = "app.llm.conversation.cumulative_tokens"
GEN_AI_EVALUATION_NAME: Final = "gen_ai.evaluation.name"
GEN_AI_EVALUATION_SCORE_VALUE: Final = "gen_ai.evaluation.score.value"

# What redaction says it did: contrib's name for the count and the keys, ours for the rest. Never a value.
REDACTION_MASKED_COUNT: Final = "redaction.masked.count"
REDACTION_MASKED_KEYS: Final = "redaction.masked.keys"
REDACTION_ENTITIES: Final = "redaction.entities"
REDACTION_FINGERPRINTS: Final = "redaction.fingerprints"

# Ours: what the tail sampler writes on the local root of kept traces. Meaning and types: README, "Attributes".
SAMPLING_POLICY: Final = "sampling.policy"
SAMPLING_REASON: Final = "sampling.reason"
SAMPLING_ADJUSTED_COUNT: Final = "sampling.adjusted_count"
SAMPLING_CONTENT_TIER: Final = "sampling.content_tier"
SAMPLING_TRIGGER: Final = "sampling.trigger"
SAMPLING_DRY_RUN_KEPT: Final = "sampling.dry_run.kept"
APP_LLM_TRACE_COST_USD: Final = "app.llm.trace.cost_usd"
APP_LLM_TRACE_TOKENS: Final = "app.llm.trace.tokens"
APP_LLM_TRACE_MODEL_CALLS: Final = "app.llm.trace.model_calls"
APP_LLM_TRACE_UNPRICED_CALLS: Final = "app.llm.trace.unpriced_calls"
