"""Pictures of the dashboards without a Grafana: its components in a browser, fed by a real Prometheus."""
