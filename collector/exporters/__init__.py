"""Exporters: what leaves the process. One component a module, its JSON Schema beside it.

An OTLP exporter is composed of `queue` (bounded waiting) → `sender` (threads) → `delivery` (split, retry, bisect) →
a transport that pushes one request.
"""
