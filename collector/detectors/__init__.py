"""Detectors that other packages do the work for: layers behind the patterns of the redaction processor."""
