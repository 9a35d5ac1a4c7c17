#!/bin/sh
# Fills in what the environment says and starts nginx in its place.
set -eu
: "${CONDUCTOR_NGINX_TEMPLATE:=/etc/nginx/nginx.conf.template}"
: "${CONDUCTOR_NGINX_RUN:=/run/nginx}"
: "${CONDUCTOR_NGINX_WORKERS:=2}"
: "${CONDUCTOR_FILES_LISTEN:=8090}"
: "${CONDUCTOR_FILES_HEALTH_LISTEN:=127.0.0.1:8091}"
: "${CONDUCTOR_API:=conductor:8081}"
: "${CONDUCTOR_RESOLVER:=127.0.0.11}"
: "${CONDUCTOR_DASHBOARD_URL:=http://localhost:8080}"
: "${CONDUCTOR_WORKSPACE:=/workspace}"
: "${CONDUCTOR_LOGS:=/var/log/conductor}"
CONDUCTOR_DASHBOARD_URL=${CONDUCTOR_DASHBOARD_URL%/}
script=
for name in CONDUCTOR_NGINX_RUN CONDUCTOR_NGINX_WORKERS CONDUCTOR_FILES_LISTEN CONDUCTOR_FILES_HEALTH_LISTEN CONDUCTOR_API CONDUCTOR_RESOLVER \
            CONDUCTOR_DASHBOARD_URL CONDUCTOR_WORKSPACE CONDUCTOR_LOGS; do
  eval "value=\$$name"
  # Nothing that could end a directive of nginx, or a command of sed.
  case "$value" in
    '' | *[!A-Za-z0-9.:/_\[\]-]*) echo "files: $name is not usable: $value" >&2; exit 2 ;;
  esac
  script="$script;s|\${$name}|$value|g"
done
mkdir -p "$CONDUCTOR_NGINX_RUN"
sed "${script#;}" <"$CONDUCTOR_NGINX_TEMPLATE" >"$CONDUCTOR_NGINX_RUN/nginx.conf"
# Started as root, the workers stay who the master is: the folders may be closed to everybody else.
user=
[ "$(id -u)" != 0 ] || user="user $(id -un);"
exec nginx -e stderr -c "$CONDUCTOR_NGINX_RUN/nginx.conf" -g "daemon off;$user"
