#!/usr/bin/env bash
# Builds the peers of the end-to-end tests that no package registry provides as a binary:
#   otelcol-peer  the Go Collector 0.158.0 with the contrib processors (collector-builder.yaml)
#   jaeger        Jaeger 2.13.0 (Go module v1.76.0), the trace backend
#   compose       Docker Compose 2.40.3, which reads docker-compose.yml; Debian has version 1 alone
#   mimirtool     Grafana's analysis of the metrics that dashboards and rules name; releases are no valid Go versions, so a commit
#   prometheus    Prometheus and promtool 3.14.0, which docker-compose.yml names; only when asked for: 20 minutes. Tests take
#                 what is on the PATH, Debian's 2.42; with links to these two first on it, they run on both.
# Usage: build.sh [otelcol-peer|jaeger|compose|mimirtool|prometheus ...]   (default: all but the last). Needs Go >= 1.25.
# The binaries go to $OTELCOL_LLM_PEERS (default ~/.cache/otelcol-llm/peers) as NAME-VERSION; one that is there is not built again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${OTELCOL_LLM_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/otelcol-llm/peers}
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false

build_otelcol_peer() { # $1 = empty work folder, $2 = binary to write
  GOBIN=$1 go install go.opentelemetry.io/collector/cmd/builder@v0.162.0
  cp "$here/collector-builder.yaml" "$1/"
  (cd "$1" && ./builder --skip-compilation --config collector-builder.yaml)
  (cd "$1/otelcol-peer" && go build -mod=mod -trimpath -ldflags='-s -w' -o "$2" .)
}

build_jaeger() {
  copy_module "$1" github.com/jaegertracing/jaeger@v1.76.0
  (cd "$1/src" && go build -trimpath -ldflags='-s -w' -o "$2" ./cmd/jaeger)
}

build_compose() {
  copy_module "$1" github.com/docker/compose/v2@v2.40.3
  (cd "$1/src" && go build -trimpath -ldflags='-s -w -X github.com/docker/compose/v2/internal.Version=2.40.3' -o "$2" ./cmd)
}

build_mimirtool() {
  copy_module "$1" github.com/grafana/mimir@v1.3.1-0.20260423142704-aced80d74930
  (cd "$1/src" && go build -trimpath -ldflags='-s -w' -o "$2" ./cmd/mimirtool)
}

build_prometheus() {
  build_of_prometheus "$1" "$2" prometheus
}

build_promtool() {
  build_of_prometheus "$1" "$2" promtool
}

build_of_prometheus() { # a module that needs it: the versions it was released with, but for what its own go.mod replaces
  local module=github.com/prometheus/prometheus
  (cd "$1" && go mod init example.test/peer && go get "$module@v0.314.0" "$module/cmd/$3@v0.314.0")
  (cd "$1" && go build -trimpath -ldflags='-s -w' -o "$2" "$module/cmd/$3")
}

copy_module() { # $1 = empty work folder, $2 = module@version. A copy of the module itself: its own go.mod and go.sum stay in force.
  (cd "$1" && go mod init example.test/peer && go mod download "$2")
  cp -r "$(go env GOMODCACHE)/$2" "$1/src"
  chmod -R u+w "$1/src"
}

make_peer() { # $1 = name, $2 = version, $3 = build function
  local binary=$cache/$1-$2 work
  if [ -x "$binary" ]; then
    echo "$binary is already built."
    return
  fi
  command -v go >/dev/null || { echo "build.sh: building $1 needs Go 1.25 or later on the PATH" >&2; exit 1; }
  mkdir -p "$cache"
  work=$(mktemp -d)
  "$3" "$work" "$work/binary"
  mv "$work/binary" "$binary"
  rm -rf "$work"
  echo "$binary is built."
}

[ $# -gt 0 ] || set -- otelcol-peer jaeger compose mimirtool
for peer in "$@"; do
  case $peer in
    otelcol-peer) make_peer otelcol-peer 0.158.0 build_otelcol_peer ;;
    jaeger) make_peer jaeger 2.13.0 build_jaeger ;;
    compose) make_peer compose 2.40.3 build_compose ;;
    mimirtool) make_peer mimirtool 20260423 build_mimirtool ;;
    prometheus)
      make_peer prometheus 3.14.0 build_prometheus
      make_peer promtool 3.14.0 build_promtool
      ;;
    *) echo "build.sh: expected otelcol-peer, jaeger, compose, mimirtool or prometheus, got '$peer'" >&2; exit 2 ;;
  esac
done
