"""Receivers: what takes telemetry from the network."""
