#!/usr/bin/env bash
# Makes the secrets of compose.yaml by chance, and a certificate for localhost signed by nobody; what is there already stays.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
by_chance() { python3 -c 'import secrets; print(secrets.token_hex(32))'; }
if [ ! -e .env ]; then
    for name in OWNER_PASSWORD SERVICE_PASSWORD OBJECTS_PASSWORD BROKER_PASSWORD GRAFANA_PASSWORD; do
        echo "$name=$(by_chance)"
    done >.env.new
    echo "OBJECTS_USER=data-sanitizer" >>.env.new
    mv .env.new .env
fi
for name in pepper audit.key; do
    [ -e "secrets/$name" ] || by_chance >"secrets/$name"
done
if [ ! -e secrets/tls.key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout secrets/tls.key -out secrets/tls.crt 2>/dev/null
fi
# The folder is closed to others; the files are mounted one by one and read by the users of the containers.
chmod 0444 secrets/*
echo "Secrets are in $PWD/.env and $PWD/secrets: keep them with the backup."
