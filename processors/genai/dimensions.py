"""Business dimensions: the names applications use for feature, tenant, prompt, experiment, environment and user.

Each dimension is looked up under its names with every carrier prefix, then under its fixed keys; the first hit wins, so
a name set directly on the span beats any carrier. E-mail addresses and vendor-side account ids are no identities here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from processors import semconv

CARRIERS: Final = (
    "",
    "traceloop.association.properties.",
    "langsmith.metadata.",
    "ai.telemetry.metadata.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
    "metadata.",
)
METADATA: Final = "metadata"
"""The last carrier: an attribute that holds an object, whose members carry the names (OpenInference)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One canonical attribute and where it is found."""

    canonical: str
    names: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    lower: bool = False
    on_resource: bool = False
    """Also looked up on the resource, under its plain names and then its fixed keys."""
    list_of_names: str = ""
    """A last resort: an attribute with a list of objects, of which the first one's `name` counts."""

    def named(self) -> tuple[str, ...]:
        """Return the attribute keys in order, up to and without the members of `metadata`."""
        return tuple(carrier + name for carrier in CARRIERS for name in self.names)


DIMENSIONS: Final = (
    Dimension(
        canonical=semconv.APP_LLM_FEATURE,
        names=(semconv.APP_LLM_FEATURE, "endpointTag", "endpoint_tag", "feature"),
        fixed=("ai.telemetry.functionId", "traceloop.workflow.name", "gen_ai.workflow.name"),
    ),
    Dimension(
        canonical=semconv.APP_LLM_TENANT_ID,
        names=(semconv.APP_LLM_TENANT_ID, "tenant.id", "tenant_id", "tenantId", "tenant"),
        fixed=("metadata.user_api_key_team_id", "litellm.team.id"),
        on_resource=True,
    ),
    Dimension(
        canonical=semconv.APP_LLM_PROMPT_TEMPLATE_ID,
        names=(semconv.APP_LLM_PROMPT_TEMPLATE_ID, "prompt_template_id", "promptTemplateId"),
        fixed=(
            "gen_ai.prompt.name",
            "traceloop.prompt.key",
            "langfuse.observation.prompt.name",
            "prompt.id",
            "prompt.template",
        ),
        list_of_names="mlflow.linkedPrompts",
    ),
    Dimension(
        canonical=semconv.APP_LLM_PROMPT_TEMPLATE_VERSION,
        names=(semconv.APP_LLM_PROMPT_TEMPLATE_VERSION, "promptVersion", "prompt_version"),
        fixed=(
            "gen_ai.prompt.version",
            "traceloop.prompt.version",
            "llm.prompt_template.version",
            "langfuse.observation.prompt.version",
        ),
    ),
    Dimension(
        canonical=semconv.APP_LLM_PROMPT_TEMPLATE_SHA,
        names=(semconv.APP_LLM_PROMPT_TEMPLATE_SHA, "promptSha", "prompt_sha"),
        fixed=("traceloop.prompt.version_hash",),
    ),
    Dimension(
        canonical=semconv.APP_LLM_EXPERIMENT_ID,
        names=(semconv.APP_LLM_EXPERIMENT_ID, "experimentId", "experiment_id"),
        fixed=("langfuse.experiment.id",),
    ),
    Dimension(
        canonical=semconv.APP_LLM_EXPERIMENT_VARIANT,
        names=(semconv.APP_LLM_EXPERIMENT_VARIANT, "experimentVariant", "experiment_variant"),
    ),
    Dimension(
        canonical=semconv.APP_LLM_DATA_MODE,
        names=(semconv.APP_LLM_DATA_MODE, "dataMode", "data_mode"),
        lower=True,
    ),
    Dimension(
        canonical=semconv.DEPLOYMENT_ENVIRONMENT_NAME,
        names=(semconv.DEPLOYMENT_ENVIRONMENT_NAME, "deployment.environment", "environment"),
        fixed=("langfuse.environment",),
        on_resource=True,
    ),
    Dimension(
        canonical=semconv.APP_LLM_REQUEST_EXTERNAL_ID,
        names=(semconv.APP_LLM_REQUEST_EXTERNAL_ID, "externalRequestId", "external_request_id"),
    ),
    Dimension(
        canonical=semconv.USER_ID,
        names=(semconv.USER_ID, "userId", "user_id"),
        fixed=(
            "enduser.id",
            "langfuse.user.id",
            "gen_ai.user",
            "llm.user",
            "gen_ai.request.user",
            "mlflow.trace.user",
            "metadata.user_api_key_user_id",
            "metadata.user_api_key_end_user_id",
            "litellm.end_user.id",
            "gcp.vertex.agent.user_id",
        ),
    ),
)
