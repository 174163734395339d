"""`otelcol-llm demo`: the whole product on invented traffic, in seconds, on loopback."""
