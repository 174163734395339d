FROM python:3.12-slim AS build
COPY . /src
RUN python -m venv /opt/otelcol-llm && /opt/otelcol-llm/bin/pip install --no-cache-dir /src

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/otelcol-llm --create-home otelcol-llm
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
