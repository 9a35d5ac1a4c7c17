#!/bin/sh
# Fills in what the environment says and starts nginx in its place.
set -eu
for name in CONDUCTOR_API CONDUCTOR_RESOLVER CONDUCTOR_FILES_HOSTS CONDUCTOR_DASHBOARD_URL; do
  eval "value=\$$name"
  case "$value" in
    '' | *[!A-Za-z0-9.:/_\ \[\]-]*) echo "files: $name is not usable: $value" >&2; exit 2 ;;
  esac
done
mkdir -p /run/nginx
envsubst '$CONDUCTOR_API $CONDUCTOR_RESOLVER $CONDUCTOR_FILES_HOSTS $CONDUCTOR_DASHBOARD_URL $CONDUCTOR_WORKSPACE $CONDUCTOR_LOGS' \
  </etc/nginx/nginx.conf.template >/run/nginx/nginx.conf
exec nginx -c /run/nginx/nginx.conf -g 'daemon off;'
