#!/bin/sh
# Client libraries' own test suites, run directly and through the gateway, and compared test by test. What was printed is in
# target/clients-reports/suites; docs/clients.md tells of it.
#   sh tests/clients/suites.sh                          all
#   sh tests/clients/suites.sh --only psycopg2,lib-pq   some
# Where Debian's sources can't be had: PROVOST_LIB_PQ_ARCHIVE and PROVOST_NODE_PG_ARCHIVE name archives of theirs.
set -eu
cd "$(dirname "$0")/../.."
. examples/setup.sh
. tests/source.sh

# Of what is on PyPI, the versions; of the others whatever Debian has.
PSYCOPG2=2.9.10 ASYNCPG=0.30.0 SQLALCHEMY=2.0.44 PSYCOPG=3.2.13 PYTEST=8.3.4

PROVOST_SUITES=psycopg2,asyncpg,sqlalchemy,lib-pq,node-pg
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "\`$1\` needs a value"
  case $1 in
    --only) PROVOST_SUITES=$2 ;;
    *) die "unknown argument \`$1\`: --only" ;;
  esac
  shift 2
done
export PROVOST_SUITES

set_up
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
suites=$target/clients/suites
mkdir -p "$suites"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# wants LIBRARY: whether it is asked for.
wants() { case ",$PROVOST_SUITES," in *",$1,"*) return 0 ;; *) return 1 ;; esac }

# has LIBRARY VERSION: whether it is there in full.
has() { [ "$(cat "$suites/$1/version" 2>/dev/null)" = "$2" ]; }

# unpack ARCHIVE FOLDER: without the folder that everything is in.
unpack() {
  rm -rf "$2"
  mkdir -p "$2"
  tar -xf "$1" -C "$2" --strip-components=1
}

# python_tests LIBRARY VERSION FILE...: these files of a source package of PyPI, the tests and how they are run. The library itself is the installed one.
python_tests() {
  library=$1 version=$2
  shift 2
  has "$library" "$version" && return 0
  say "fetching the tests of $library $version"
  "$suites/python/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary "$library" --dest "$work" "$library==$version"
  unpack "$work/$library-$version.tar.gz" "$work/$library"
  rm -rf "${suites:?}/$library"
  mkdir -p "$suites/$library"
  for file in "$@"; do
    cp -R "$work/$library/$file" "$suites/$library"
  done
  echo "$version" >"$suites/$library/version"
}

# debian_archive PACKAGE ARCHIVE: the archive that somebody has, or the system's own, or that of Debian's unstable.
debian_archive() {
  [ -z "$2" ] || { echo "$2" && return 0; }
  source_archive "$work/own" "$1" || source_archive "$work/unstable" "$1" sid
}

if wants psycopg2 || wants asyncpg || wants sqlalchemy; then
  if [ ! -x "$suites/python/bin/python" ]; then
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || install_missing " python3 python3-venv" " python3" " python3"
    python3 -m venv "$suites/python"
  fi
  "$suites/python/bin/python" -m pip install --quiet --disable-pip-version-check "psycopg2-binary==$PSYCOPG2" "asyncpg==$ASYNCPG" \
    "sqlalchemy==$SQLALCHEMY" "psycopg[binary]==$PSYCOPG" "pytest==$PYTEST" distro==1.9.0
  # pip asks the source package what it is, for which it looks for libpq.
  command -v pg_config >/dev/null 2>&1 || install_missing " libpq-dev" " libpq-devel" " libpq"
fi
if wants psycopg2; then python_tests psycopg2 "$PSYCOPG2" tests; fi
if wants asyncpg; then python_tests asyncpg "$ASYNCPG" tests pyproject.toml; fi
if wants sqlalchemy; then python_tests sqlalchemy "$SQLALCHEMY" test lib setup.cfg pyproject.toml; fi

if wants lib-pq && ! has lib-pq fetched; then
  say "fetching lib/pq"
  command -v go >/dev/null 2>&1 || install_missing " golang-go" " golang" " go"
  archive=$(debian_archive golang-github-lib-pq "${PROVOST_LIB_PQ_ARCHIVE:-}") ||
    die "the source of lib/pq can't be had from the system's sources: set PROVOST_LIB_PQ_ARCHIVE to an archive of it"
  unpack "$archive" "$suites/lib-pq"
  echo fetched >"$suites/lib-pq/version"
fi

if wants node-pg && ! has node-pg fetched; then
  say "fetching node-postgres"
  command -v npm >/dev/null 2>&1 || install_missing " nodejs npm" " nodejs npm" " node"
  archive=$(debian_archive node-postgres "${PROVOST_NODE_PG_ARCHIVE:-}") ||
    die "the source of node-postgres can't be had from the system's sources: set PROVOST_NODE_PG_ARCHIVE to an archive of it"
  unpack "$archive" "$work/node-postgres"
  source=$work/node-postgres/packages/pg
  version=$(node -p 'require(process.argv[1]).version' "$source/package.json")
  rm -rf "$suites/node-pg"
  mkdir -p "$suites/node-pg"
  # The library as it is released, of the version that the tests are of; and what the tests use, as their package says.
  (
    cd "$suites/node-pg"
    echo '{"private": true}' >package.json
    npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts "pg@$version" async@2.6.4 bluebird@3.7.2 co@4.6.0 pg-copy-streams@0.3.0
  )
  cp -R "$source/test" "$source/script" "$suites/node-pg/node_modules/pg"
  echo fetched >"$suites/node-pg/version"
fi

cargo test --locked --workspace --test clients -- --nocapture --test-threads 1 --ignored suites_of_client_libraries_equal_direct
