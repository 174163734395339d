"""The Grafana dashboards as Python: `python -m grafana.build` writes `grafana/dashboards/*.json`."""
