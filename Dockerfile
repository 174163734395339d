FROM python:3.12-slim AS build
RUN python -m venv --without-pip /opt/otelcol-llm
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY processors processors
COPY collector collector
RUN pip --python /opt/otelcol-llm/bin/python install --no-cache-dir '.[demo]'

FROM python:3.12-slim
RUN groupadd --system --gid 10001 otelcol-llm \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/otelcol-llm otelcol-llm \
 && install -d -o 10001 -g 0 -m 0750 /secrets/sidecar /secrets/grafana \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/otelcol-llm
COPY --from=build /opt/otelcol-llm /opt/otelcol-llm
COPY configs /etc/otelcol-llm
ENV PATH=/opt/otelcol-llm/bin:$PATH OTELCOL_LLM_LISTEN=0.0.0.0 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/otelcol-llm
EXPOSE 4317 4318 8888 9464 13133
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:13133/', timeout=2)"]
ENTRYPOINT ["otelcol-llm"]
CMD ["--config", "/etc/otelcol-llm/collector.yaml"]
