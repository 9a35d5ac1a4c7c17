#!/bin/sh
# Makes the password at the first start, and starts Redis with what Conductor needs of it. The configuration goes in by
# standard input, so that the password is in no argument and in no environment. Redis stops growing before the container
# is killed for its memory: Conductor then refuses submits, and goes on when there is room.
set -eu
umask 077
memory=${CONDUCTOR_REDIS_MAXMEMORY:-320mb}
case $memory in
  '' | *[!0-9a-zA-Z]*) echo "redis: CONDUCTOR_REDIS_MAXMEMORY is no size: $memory" >&2; exit 2 ;;
esac
if [ ! -s /secret/password ]; then
  head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >/secret/password.new
  mv /secret/password.new /secret/password
fi
printf 'redis://:%s@%s:6379/0\n' "$(cat /secret/password)" "${CONDUCTOR_REDIS_NAME:-redis}" >/secret/url.new
mv /secret/url.new /secret/url
printf '%s\n' "requirepass $(cat /secret/password)" 'bind * -::*' 'dir /data' 'save ""' \
  'appendonly yes' 'appendfsync always' 'maxmemory-policy noeviction' "maxmemory $memory" >/tmp/redis.conf
exec redis-server - </tmp/redis.conf
