"""What Grafana is provisioned with, and the Python that makes it. Not part of the wheel."""
