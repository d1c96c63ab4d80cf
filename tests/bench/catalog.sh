#!/bin/sh
# How long the catalog of a large database takes to read: 5,000 relations (catalog.sql beside this file).
#
#   PGHOST=/run/postgresql PGUSER=postgres sh tests/bench/catalog.sh [RUNS [ANSWER]]
#
# It makes a database `provost_bench` and drops it at the end. In each run, one new connection does what a gateway's does:
# the first reading, its stamp, the definitions of ten views that statements rest on, then refreshes: with nothing changed, after
# one DDL statement of somebody else. Another new connection reads the catalog with the definitions of all 500 views, as a session
# with DDL of its own does. The medians are printed: the time until psql had
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
ten=$(psql -XAtq -d provost_bench -c "SELECT array_agg(oid) FROM (SELECT oid FROM pg_class WHERE relkind = 'v' AND oid >= 16384 ORDER BY oid LIMIT 10) AS x")
# The catalog, with the definitions of the views that a query gives (engine/src/catalog/mod.rs, definitions.rs).
catalog() { echo "WITH wanted AS MATERIALIZED ($1),"; cat "$engine/catalog.sql"; }
catalog "SELECT unnest('{}'::pg_catalog.oid[]) AS oid" >"$work/outline.sql"
catalog "SELECT unnest('$ten'::pg_catalog.oid[]) AS oid" >"$work/with-ten.sql"
catalog "SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm')" >"$work/whole.sql"
sed "s/'{}'/'$ten'/" "$engine/definitions.sql" >"$work/definitions.sql"
{
  echo "$begin"
  part first-reading "$work/outline.sql"
  part its-stamp "$engine/stamp.sql"
  part ten-views "$work/definitions.sql"
  part read-again "$work/with-ten.sql"
  part nothing-changed "$engine/stamp.sql"
  echo "\\warn @ -"
  echo "\\! psql -XAtq -d provost_bench -c 'ALTER TABLE s1.t1 ALTER COLUMN c1 SET DEFAULT now()'"
  part after-one-ddl "$engine/stamp.sql" "$work/with-ten.sql"
} >"$work/session.sql"
{ echo "$begin"; part whole-catalog "$work/whole.sql"; } >"$work/complete.sql"

run=0
while [ "$run" -lt "$runs" ]; do
  for session in session complete; do
    # Each statement's own figures, summed within a part: `! 0.1 s user, 0.0 s system, 0.1 s elapsed`.
    psql -XAtq -v ON_ERROR_STOP=1 -d provost_bench -f "$work/$session.sql" 2>&1 >"$work/$session.answer" | awk '
      /@ / { part = $NF; order[++parts] = part }
      /^!\t[0-9].* s user, / { used[part] += $2 + $5; wall[part] += $8 }
      END { for (place = 1; place <= parts; place++) if (order[place] != "-") printf "%s %.1f %.1f\n", order[place], wall[order[place]] * 1000, used[order[place]] * 1000 }' >>"$work/times"
  done
  run=$((run + 1))
done
if [ $# -gt 1 ]; then
  { echo "$first"; cat "$work/outline.sql"; } | psql -XAtq --single-transaction -d provost_bench >"$2"
fi

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
least() { sort -n | head -n 1; }
echo "part              wall ms  server ms  least server ms"
for part in first-reading its-stamp ten-views read-again nothing-changed after-one-ddl whole-catalog; do
  printf '%-16s %8s %10s %16s\n' "$part" \
    "$(awk -v part="$part" '$1 == part { print $2 }' "$work/times" | median)" \
    "$(awk -v part="$part" '$1 == part { print $3 }' "$work/times" | median)" \
    "$(awk -v part="$part" '$1 == part { print $3 }' "$work/times" | least)"
done
echo "bytes of the catalog: $({ echo "$first"; cat "$work/outline.sql"; } | psql -XAtq --single-transaction -d provost_bench | wc -c)"
