"""Sub-commands of `otelcol-llm`, one module each, imported when they are called."""
