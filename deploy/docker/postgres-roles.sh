#!/bin/sh
# The role of the service: it owns nothing, and row-level security holds it. Run once by the image of Postgres, in an empty database.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$SERVICE_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE service LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'password';
SQL
