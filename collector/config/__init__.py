"""From files to a checked configuration: YAML with places, expansion, merging, JSON Schema, the pipeline graph."""
