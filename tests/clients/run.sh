#!/bin/sh
# What stock clients see through the gateway, against what they see directly: PostgreSQL's own regression suite, run by its own
# pg_regress, and programs of client libraries. What differs is in target/clients-reports; docs/clients.md tells of it.
#   sh tests/clients/run.sh                       all
#   sh tests/clients/run.sh --only copy,prepare   some regression files
set -eu
cd "$(dirname "$0")/../.."
. examples/setup.sh

PROVOST_CLIENTS=all
filter=
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "\`$1\` needs a value"
  case $1 in
    --only) PROVOST_CLIENTS='' filter=regression PROVOST_CLIENTS_ONLY=$2 && export PROVOST_CLIENTS_ONLY ;;
    *) die "unknown argument \`$1\`: --only" ;;
  esac
  shift 2
done
export PROVOST_CLIENTS

set_up
sh tests/regress/fetch.sh

# The libraries of the programs, in the build's own folder.
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
clients=$target/clients
mkdir -p "$clients/node"
for python in "$target/python" "$clients/python"; do
  [ -x "$python/bin/python" ] && continue
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || install_missing " python3 python3-venv" " python3" " python3"
  python3 -m venv "$python"
done
"$target/python/bin/python" -c 'import psycopg' 2>/dev/null ||
  "$target/python/bin/python" -m pip install --quiet --disable-pip-version-check 'psycopg[binary]==3.2.*'
"$clients/python/bin/python" -c 'import asyncpg' 2>/dev/null ||
  "$clients/python/bin/python" -m pip install --quiet --disable-pip-version-check 'asyncpg==0.30.*'
command -v npm >/dev/null 2>&1 || install_missing " nodejs npm" " nodejs npm" " node"
if ! cmp -s tests/clients/programs/package.json "$clients/node/package.json" || [ ! -d "$clients/node/node_modules/pg" ]; then
  cp tests/clients/programs/package.json "$clients/node/package.json"
  (cd "$clients/node" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts)
fi
if ! command -v javac >/dev/null 2>&1 || [ ! -f "${PROVOST_JDBC_DRIVER:-/usr/share/java/postgresql.jar}" ]; then
  install_missing " default-jdk-headless libpostgresql-jdbc-java" " java-latest-openjdk-devel postgresql-jdbc" " openjdk"
fi
CARGO_TARGET_DIR=$clients/sqlx cargo build --quiet --locked --manifest-path tests/clients/sqlx/Cargo.toml

# shellcheck disable=SC2086 # none, or one word
cargo test --locked --workspace --test clients -- --nocapture --test-threads 1 $filter
