#!/bin/sh
# How long the catalog of a large database takes to read: 5,000 relations (catalog.sql beside this file).
#
#   PGHOST=/run/postgresql PGUSER=postgres sh tests/bench/catalog.sh [RUNS [ANSWER]]
#
# It makes a database `provost_bench` and drops it at the end. In each run, one new connection does what a gateway's does:
# the first reading, then refreshes: with nothing changed, after one DDL statement of somebody else. Other new connections
# read the catalog without the definitions of views, and the stamp alone. The medians are printed: the time until psql had
# it all, and the processor time of the server's process (log_statement_stats, so the role must be a superuser). ANSWER is
# where to leave the server's answer, for `PROVOST_CATALOG_ANSWER=ANSWER cargo bench -p provost-engine --bench catalog`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
engine=$here/../../engine/src/catalog
runs=${1:-11}
work=$(mktemp -d)
trap 'rm -rf "$work"; dropdb --if-exists provost_bench' EXIT

dropdb --if-exists provost_bench 2>/dev/null
createdb provost_bench
psql -XAtq -v ON_ERROR_STOP=1 -d provost_bench -f "$here/catalog.sql" >&2

first="SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;"
# A part of a session: its name, and the files that it asks for in one transaction.
part() {
  echo "\\warn @ $1"
  shift
  for file in "$@"; do
    echo "BEGIN; $first"
    cat "$file"
    echo "; COMMIT;"
  done
}
begin='SET client_min_messages = log; SET log_statement_stats = on;'
sed "/^  'views', /,/OFFSET 0) AS x),\$/d" "$engine/catalog.sql" >"$work/without-views.sql"
{
  echo "$begin"
  part first-reading "$engine/stamp.sql" "$engine/catalog.sql"
  part read-again "$engine/catalog.sql"
  part nothing-changed "$engine/stamp.sql"
  echo "\\warn @ -"
  echo "\\! psql -XAtq -d provost_bench -c 'ALTER TABLE s1.t1 ALTER COLUMN c1 SET DEFAULT now()'"
  part after-one-ddl "$engine/stamp.sql" "$engine/catalog.sql"
} >"$work/session.sql"
{ echo "$begin"; part without-views "$work/without-views.sql"; } >"$work/other.sql"
{ echo "$begin"; part stamp-alone "$engine/stamp.sql"; } >"$work/stamp.sql"

run=0
while [ "$run" -lt "$runs" ]; do
  for session in session other stamp; do
    # Each statement's own figures, summed within a part: `! 0.1 s user, 0.0 s system, 0.1 s elapsed`.
    psql -XAtq -v ON_ERROR_STOP=1 -d provost_bench -f "$work/$session.sql" 2>&1 >"$work/$session.answer" | awk '
      /@ / { part = $NF; order[++parts] = part }
      /^!\t[0-9].* s user, / { used[part] += $2 + $5; wall[part] += $8 }
      END { for (place = 1; place <= parts; place++) if (order[place] != "-") printf "%s %.1f %.1f\n", order[place], wall[order[place]] * 1000, used[order[place]] * 1000 }' >>"$work/times"
  done
  run=$((run + 1))
done
if [ $# -gt 1 ]; then
  { echo "$first"; cat "$engine/catalog.sql"; } | psql -XAtq --single-transaction -d provost_bench >"$2"
fi

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
least() { sort -n | head -n 1; }
echo "part              wall ms  server ms  least server ms"
for part in first-reading read-again nothing-changed after-one-ddl without-views stamp-alone; do
  printf '%-16s %8s %10s %16s\n' "$part" \
    "$(awk -v part="$part" '$1 == part { print $2 }' "$work/times" | median)" \
    "$(awk -v part="$part" '$1 == part { print $3 }' "$work/times" | median)" \
    "$(awk -v part="$part" '$1 == part { print $3 }' "$work/times" | least)"
done
echo "bytes of the catalog: $({ echo "$first"; cat "$engine/catalog.sql"; } | psql -XAtq --single-transaction -d provost_bench | wc -c)"
