#!/bin/bash
# test-crash.sh - for 120 s probes, collector, Redis and PostgreSQL are killed with
# SIGKILL, three times each, at random moments: every delta-t of every series comes
# exactly once, its sums equal the emulator's log, and what is unknown is so only
# where a probe was dead.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/exact.sh
. "$here/../lib/exact.sh"

need_lab
test_init crash
exact_set_up

mapfile -t kills < <(printf '%s\n' left right left collector collector collector redis redis redis postgres postgres postgres |
    while read -r what; do echo "$RANDOM $what"; done | sort -n | cut -d' ' -f2)
begun=$SECONDS
for what in "${kills[@]}"; do
    sleep "$((RANDOM % 6 + 5)).$((RANDOM % 10))"
    pause="$((RANDOM % 3)).$((RANDOM % 10))"
    echo "$(date +%T) $what, away for $pause s"
    case $what in
    left | right) check "$what is back" kill_probe "$what" "$what-p1" "$pause" ;;
    collector) kill_collector "$pause" ;;
    redis) check 'Redis is back' kill_redis "$pause" ;;
    postgres) check 'PostgreSQL is back' kill_postgres "$pause" ;;
    esac
done
sleep 5
left=$((begun + 120 - SECONDS))
((left <= 0)) || sleep "$left"
exact_close
exact_check 'twelve kills: every delta-t exactly once, and right' "$EXACT_FROM" "$PAIR_UNTIL"
test_end
