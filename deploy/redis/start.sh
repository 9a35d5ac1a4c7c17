#!/bin/sh
# Makes the password at the first start, and starts Redis with what Conductor needs of it. The configuration goes in by
# standard input, so that the password is in no argument and in no environment.
set -eu
umask 077
if [ ! -s /secret/password ]; then
  head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >/secret/password.new
  mv /secret/password.new /secret/password
fi
printf 'redis://:%s@%s:6379/0\n' "$(cat /secret/password)" "${CONDUCTOR_REDIS_NAME:-redis}" >/secret/url.new
mv /secret/url.new /secret/url
printf '%s\n' "requirepass $(cat /secret/password)" 'bind * -::*' 'dir /data' 'save ""' \
  'appendonly yes' 'appendfsync always' 'maxmemory-policy noeviction' >/tmp/redis.conf
exec redis-server - </tmp/redis.conf
