#!/bin/sh
# How long the catalog of a large database takes to read: 5,000 relations (catalog.sql beside this file).
#
#   PGHOST=/run/postgresql PGUSER=postgres sh tests/bench/catalog.sh [RUNS]
#
# It makes a database `provost_bench` and drops it at the end. Each run is a connection of its own, the queries take turns;
# the medians are printed: the time on the wire, and the processor time of the server's process (log_statement_stats, so the
# role must be a superuser).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
engine=$here/../../engine/src/catalog
runs=${1:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"; dropdb --if-exists provost_bench' EXIT

dropdb --if-exists provost_bench 2>/dev/null
createdb provost_bench
psql -XAtq -v ON_ERROR_STOP=1 -d provost_bench -f "$here/catalog.sql" >&2

first="SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;"
{ echo "$first"; cat "$engine/catalog.sql"; } >"$work/catalog"
{ echo "$first"; sed "/^  'views', /,/OFFSET 0) AS x),\$/d" "$engine/catalog.sql"; } >"$work/catalog-without-views"
{ echo "$first"; cat "$engine/stamp.sql"; } >"$work/stamp"

run=0
while [ "$run" -lt "$runs" ]; do
  for query in catalog catalog-without-views stamp; do
    {
      echo "SET client_min_messages = log; SET log_statement_stats = on; BEGIN;"
      cat "$work/$query"
      echo "; ROLLBACK;"
    } | psql -XAtq -d provost_bench 2>&1 >"$work/answer" |
      awk '/ s user, / { used = $2 + $5; if (used >= most) { most = used; wall = $8 } } END { printf "%.1f %.1f\n", wall * 1000, most * 1000 }' \
        >>"$work/$query.times"
    wc -c <"$work/answer" >"$work/$query.bytes"
  done
  run=$((run + 1))
done

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
echo "query                    wall ms  server ms  bytes"
for query in catalog catalog-without-views stamp; do
  wall=$(cut -d' ' -f1 "$work/$query.times" | median)
  used=$(cut -d' ' -f2 "$work/$query.times" | median)
  printf '%-24s %7s %10s %6s\n' "$query" "$wall" "$used" "$(cat "$work/$query.bytes")"
done
