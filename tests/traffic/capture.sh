#!/bin/sh
# Runs real clients against a private PostgreSQL and writes down what they ask (tests/traffic/proxy.py), one file each, beside
# the schema that they left behind. The files are committed; run this again when a client's version changes:
#   sh tests/traffic/capture.sh               all
#   sh tests/traffic/capture.sh django psql   these
# Python packages go to target/traffic/python, npm's to target/traffic/prisma; Java comes from Debian (default-jdk-headless,
# libpostgresql-jdbc-java, libhibernate3-java).
set -eu
cd "$(dirname "$0")/../.."
. examples/setup.sh
set_up
root=$PWD
[ $# -gt 0 ] || set -- pgbench psql pg_dump django sqlalchemy jdbc hibernate prisma introspection

build=${CARGO_TARGET_DIR:-$root/target}/traffic
mkdir -p "$build"
binaries=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -1 || command -v initdb)")
PATH=$binaries:$PATH
server=$(mktemp -d)
as_server() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$server"
  as_server() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
server_port=$(free_port)
(cd "$server" && as_server initdb -D "$server/data" -U app --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null)
(cd "$server" && as_server pg_ctl -D "$server/data" -w -l "$server/log" -o "-c fsync=off -c listen_addresses=127.0.0.1 -c port=$server_port -c unix_socket_directories=$server" start >/dev/null)
proxy=
finish() {
  [ -z "$proxy" ] || kill "$proxy" 2>/dev/null || :
  (cd "$server" && as_server pg_ctl -D "$server/data" -m immediate stop >/dev/null) || :
  rm -rf "$server"
}
trap finish EXIT

export PGUSER=app PGHOST=127.0.0.1 PGSSLMODE=disable PGPASSWORD=none

python() {
  if [ ! -x "$build/python/bin/python" ]; then
    python3 -m venv "$build/python"
    "$build/python/bin/python" -m pip install --quiet --disable-pip-version-check 'django==5.2.*' 'sqlalchemy[asyncio]==2.0.*' 'psycopg[binary]==3.2.*' 'asyncpg==0.30.*'
  fi
  "$build/python/bin/python" "$@"
}

java_client() {
  jars=/usr/share/java
  path=$build/java:$jars/postgresql.jar:$jars/hibernate3.jar:$jars/hibernate-core.jar:$jars/hibernate-commons-annotations.jar:$jars/geronimo-jpa_2.0_spec.jar:$jars/geronimo-jta-1.2-spec.jar:$jars/slf4j-api.jar:$jars/slf4j-nop.jar:$jars/dom4j.jar:$jars/antlr.jar:$jars/commons-collections3.jar:$jars/javassist.jar
  mkdir -p "$build/java"
  javac -nowarn -d "$build/java" -cp "$path" "tests/traffic/clients/$1.java"
  java --add-opens java.base/java.lang=ALL-UNNAMED -cp "$path" "$1"
}

run_client() {
  case $1 in
    pgbench)
      pgbench -q -i -s 1 2>/dev/null
      pgbench -q -i -s 1 -I dtGvpf --partitions=2 2>/dev/null
      for script in tpcb-like simple-update select-only; do
        for mode in simple extended prepared; do pgbench -n -t 2 -b "$script" -M "$mode" >/dev/null 2>&1; done
      done
      ;;
    psql) psql -qX -f tests/traffic/clients/psql.sql >/dev/null ;;
    pg_dump)
      PGPORT=$server_port psql -qX -f tests/traffic/clients/psql.sql >/dev/null 2>&1
      pg_dump >/dev/null
      pg_dump --schema-only --no-owner >/dev/null
      pg_dump --data-only --inserts >/dev/null
      ;;
    django) python tests/traffic/clients/django_client.py ;;
    sqlalchemy) python tests/traffic/clients/sqlalchemy_client.py ;;
    jdbc) java_client Jdbc ;;
    hibernate) java_client Hibernate ;;
    prisma)
      # Prisma's schema engine is downloaded from its makers, not from npm: it is told that there is one, and never uses it.
      mkdir -p "$build/prisma"
      cp tests/traffic/clients/prisma/* "$build/prisma/"
      PGPORT=$server_port psql -qX -f tests/traffic/clients/prisma/tables.sql
      (
        cd "$build/prisma"
        export PRISMA_SCHEMA_ENGINE_BINARY=/bin/true DATABASE_URL="postgresql://app:none@127.0.0.1:$PGPORT/$PGDATABASE"
        [ -d node_modules ] || npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts
        npx --no-install prisma generate >/dev/null
        node client.mjs
      )
      ;;
    introspection)
      PGPORT=$server_port psql -qX -f tests/traffic/clients/psql.sql >/dev/null 2>&1
      psql -qX -f tests/traffic/clients/introspection.sql >/dev/null
      ;;
    *) die "no client is called \`$1\`" ;;
  esac
}

for client in "$@"; do
  database=traffic_$client
  PGPORT=$server_port createdb "$database"
  raw=$build/$client.sql
  rm -f "$raw"
  touch "$raw"
  listen=$(free_port)
  python3 tests/traffic/proxy.py "$listen" "$server_port" "$raw" &
  proxy=$!
  until python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])))' "$listen" 2>/dev/null; do kill -0 "$proxy"; done
  say "recording $client"
  PGPORT=$listen PGDATABASE=$database run_client "$client"
  kill "$proxy"
  wait "$proxy" 2>/dev/null || :
  proxy=
  cp "$raw" "tests/traffic/$client.sql"
  PGPORT=$server_port pg_dump --schema-only --no-owner "$database" |
    grep -v -e '^--' -e '^SET ' -e '^SELECT pg_catalog.set_config' -e '^$' -e '^\\' >"tests/traffic/$client.schema.sql"
  say "$client: $(grep -c '^---- ' "tests/traffic/$client.sql") statements"
done
