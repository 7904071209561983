#!/usr/bin/env bash
# Starts the whole service as compose.yaml says, goes through the quickstart, kills a worker in the middle of a job, and removes it all.
#   COMPOSE="docker compose" ENGINE=docker deploy/docker/try.sh
# With STAND_INS=1 images named localhost/stand-in-* (stand-ins/Dockerfile) take the place of those of others.
# Needs curl, and `make .venv/installed` for the generator and the client. Prints what it does, and FAILED or PASSED last.
set -euo pipefail
cd "$(dirname "$0")"
engine=${ENGINE:-podman} compose=${COMPOSE:-podman-compose} root=$(cd ../.. && pwd)
work=$(mktemp -d)
began=$(date +%s)
say() { printf '%4ss  %s\n' "$(($(date +%s) - began))" "$*"; }
export PORT=${PORT:-8443} COMPOSE_PROJECT_NAME=data-sanitizer-try
url=https://localhost:$PORT/api/v1

if [ -n "${STAND_INS:-}" ]; then
    for name in POSTGRES:postgres OBJECTS:objects PROXY:nginx REDIS:redis; do
        export "${name%%:*}_IMAGE=localhost/stand-in-${name##*:}"
    done
fi

# Without systemd, podman checks the health of nothing by itself.
checks() { while sleep 2; do for c in $($engine ps -q 2>/dev/null); do $engine healthcheck run "$c" >/dev/null 2>&1 || true; done; done; }
ended=FAILED
end() {
    kill "$checking" 2>/dev/null || true
    if [ "$ended" = FAILED ]; then $compose logs --tail 15 2>&1 | tail -80 || true; fi
    $compose down -v >/dev/null 2>&1 || true
    rm -rf "$work"
    echo "$ended"
}
[ "$engine" = podman ] && { checks & checking=$!; } || checking=
trap end EXIT

container() { $engine ps -a --filter "name=${COMPOSE_PROJECT_NAME}[_-]$1[_-]1" --format '{{.Names}}' | head -1; }
field() { python3 -c 'import json,sys; d=json.load(sys.stdin); print(d.get(sys.argv[1], d))' "$1"; }
ask() { curl -fsS --cacert secrets/tls.crt -H "X-API-Key: $key" "$@"; }
wait_for() { # JOB STATE SECONDS
    local until=$(($(date +%s) + $3)) state=
    while [ "$(date +%s)" -lt "$until" ]; do
        state=$(ask "$url/jobs/$1?wait=5" | field status)
        if [ "$state" = "$2" ]; then return 0; fi
        case $state in failed | dead | cancelled) break ;; esac
        sleep 0.2
    done
    say "job $1 is $state, not $2"
    return 1
}

./secrets.sh
say "starting"
$compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log"; exit 1; }
for _ in $(seq 120); do
    curl -fsS --cacert secrets/tls.crt "$url/health/ready" >"$work/ready" 2>/dev/null && break
    sleep 1
done
say "ready over TLS: $(cat "$work/ready")"

api=$(container api)
key=$($engine exec "$api" data-sanitizer keys create trial --label try.sh | grep -o 'trial:[^ ]*' | head -1)
say "the API runs as $($engine exec "$api" id -u), root file system: $($engine exec "$api" sh -c 'touch /x 2>&1 || true')"
say "capabilities of the worker: $($engine exec "$(container worker)" sh -c 'grep CapEff /proc/self/status' | tr '\t' ' ')"
refused=$(curl -s -o /dev/null -w '%{http_code}' --cacert secrets/tls.crt "$url/jobs")
say "without a key: $refused"
[ "$refused" = 401 ]

job=$(ask -F "file=@$root/examples/customers.csv" -F dataset_name=customers "$url/datasets/trial/ingest" | field job_id)
wait_for "$job" success 120
ask -o "$work/cleaned.csv" "$url/jobs/$job/download?format=csv"
say "the example with curl: $(wc -l <"$work/cleaned.csv") lines"

SSL_CERT_FILE=$PWD/secrets/tls.crt KEY=$key URL=https://localhost:$PORT "$root/.venv/bin/python" - "$root/examples/customers.csv" "$work" <<'PY'
import os, sys
from data_sanitizer import Client
with Client(os.environ["URL"], os.environ["KEY"]) as client:
    job = client.ingest(sys.argv[1], "customers", recipe="careful")
    client.wait(job)
    client.download(job, f"{sys.argv[2]}/client.csv", format="csv")
PY
cmp "$work/cleaned.csv" "$work/client.csv"
say "the example with the client: the same bytes"

"$root/.venv/bin/data-sanitizer" generate --size "${ROWS:-200k}" --output-dir "$work/big" --formats csv >/dev/null 2>&1
big=$(find "$work/big" -name '*.csv' -size +1M | head -1)
say "a table of $(stat -c %s "$big") bytes, in the lane of the large ones"
job=$(ask -F "file=@$big" -F dataset_name=big "$url/datasets/trial/ingest" | field job_id)
wait_for "$job" running 60
sleep "${INTO:-4}"
say "the job is $(ask "$url/jobs/$job" | field status): kill -9 of the worker's container"
$engine kill -s KILL "$(container worker)" >/dev/null
sleep 1
$engine start "$(container worker)" >/dev/null
wait_for "$job" success 280
ask -o "$work/killed.csv" "$url/jobs/$job/download?format=csv"
say "it succeeded all the same, attempts: $(ask "$url/jobs/$job" | field attempt)"
job=$(ask -F "file=@$big" -F dataset_name=big -H "Idempotency-Key: again" "$url/datasets/trial/ingest" | field job_id)
wait_for "$job" success 280
ask -o "$work/whole.csv" "$url/jobs/$job/download?format=csv"
cmp "$work/killed.csv" "$work/whole.csv"
say "the same bytes as without the kill: $(sha256sum <"$work/whole.csv" | cut -c1-16)"
ended=PASSED
