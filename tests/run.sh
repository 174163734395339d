#!/usr/bin/env bash
# Sets up a virtual environment and runs every check and test. Arguments go to pytest.
# Where it may (root on Debian or Ubuntu) it installs what tests use: Prometheus, Alertmanager, Caddy, strace.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=()
command -v prometheus >/dev/null || wanted+=(prometheus)
command -v amtool >/dev/null || wanted+=(prometheus-alertmanager)
command -v caddy >/dev/null || wanted+=(caddy)
command -v strace >/dev/null || wanted+=(strace)
if [ ${#wanted[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'

.venv/bin/ruff format --check --quiet .
.venv/bin/ruff check --quiet .
.venv/bin/mypy
exec .venv/bin/pytest --numprocesses 2 --cov=processors --cov-branch --cov-fail-under=95 --cov-report=term:skip-covered "$@"
