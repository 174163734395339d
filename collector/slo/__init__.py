"""Service level objectives: a readable file → its arithmetic → rules for Prometheus."""
