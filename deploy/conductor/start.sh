#!/bin/sh
# Starts supervisord, after a look at what it needs: without it every program would say the same in words of its own.
# When a program was given up this ends with 1, so that a restart policy that looks at the exit code acts too.
set -u
run=/run/conductor
refuse() { echo "conductor: $*" >&2; exit 78; }

case "${CONDUCTOR_AGENTS:-}" in
  [1-4]) ;;
  *) refuse "CONDUCTOR_AGENTS has to be 1, 2, 3 or 4, and is \"${CONDUCTOR_AGENTS:-}\"" ;;
esac
# This asks for the right and not for room: on a full volume the programs start, and say so.
for folder in /etc/conductor /workspace /var/log/conductor /var/lib/conductor; do
  [ -d "$folder" ] || refuse "$folder is not there; mount a volume at it"
  { [ -w "$folder" ] && [ -x "$folder" ]; } || refuse "$folder cannot be written by the user $(id -u) that this container" \
    "runs as; give it that folder (chown $(id -u):$(id -g) what is mounted there), or run as its owner," \
    "$(stat -c %u:%g "$folder") (user: in docker-compose.override.yml)"
done
mkdir -p -m 0700 "$run" 2>/dev/null && [ -w "$run" ] \
  || refuse "$run cannot be made by the user $(id -u); mount a tmpfs at /run that it may write (--tmpfs /run:mode=1777)"
rm -f "$run/given-up"

PYTHONPATH=/usr/local/lib/conductor /usr/bin/supervisord --nodaemon --configuration /etc/supervisor/conductor.conf &
supervisord=$!
# The signal interrupts the wait and not supervisord's drain, so the wait is begun again until that has ended.
trap 'kill -TERM "$supervisord" 2>/dev/null' TERM INT
status=0
while :; do
  wait "$supervisord"
  status=$?
  kill -0 "$supervisord" 2>/dev/null || break
done
[ ! -e "$run/given-up" ] || exit 1
exit "$status"
