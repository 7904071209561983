#!/bin/sh
# Makes what has to be there before the service begins; may run any number of times.
set -eu
python /run/make_bucket.py data-sanitizer
data-sanitizer migrate --database "$OWNER_URL" --grant-to service
key=/var/lib/data-sanitizer/metrics.key
if [ ! -s "$key" ]; then
    umask 027
    chmod 0750 /var/lib/data-sanitizer  # Prometheus reads it as a member of the group
    data-sanitizer keys create operator --label "figures for Prometheus" --scope metrics:read >"$key.new"
    mv "$key.new" "$key"
fi
