#!/bin/sh
# PostgreSQL's own regression files, of the version of the server that is installed, into target/regress, and the library that
# they load, regress.so, built from them. Debian's source package has them; this machine's apt sources are left as they are.
# Run by tests/run.sh; does nothing when they are there.
#   sh tests/regress/fetch.sh
#   PROVOST_REGRESS_ARCHIVE=postgresql-17.6.tar.bz2 sh tests/regress/fetch.sh     from a source archive that one has
set -eu
cd "$(dirname "$0")/../.."
. examples/setup.sh
. tests/source.sh

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
regress=$target/regress

# The server that the tests start: from PATH, else the newest that Debian keeps.
server=$(command -v postgres || ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
[ -n "$server" ] || die "PostgreSQL's server was not found: run tests/run.sh, which installs it"
version=$("$server" --version | sed 's/^[^0-9]*\([0-9.]*\).*/\1/')
has_files=no
[ "$(cat "$regress/version" 2>/dev/null)" = "$version" ] && [ -f "$regress/regress.c" ] && has_files=yes
[ "$has_files" = yes ] && [ -f "$regress/regress.so" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fetch_files: the files, from the archive.
fetch_files() {
  if [ -n "${PROVOST_REGRESS_ARCHIVE:-}" ]; then
    archive=$PROVOST_REGRESS_ARCHIVE
  else
    say "fetching PostgreSQL $version's regression files"
    archive=$(source_archive "$work" "postgresql-${version%%.*}") ||
      die "the source package of PostgreSQL $version can't be had from the system's sources: set PROVOST_REGRESS_ARCHIVE to an archive of its source (https://www.postgresql.org/ftp/source/)"
  fi
  mkdir "$work/tree"
  # GNU's tar takes patterns only when told so; the others always do.
  wildcards=$(tar --version 2>/dev/null | grep -q GNU && echo --wildcards || :)
  # shellcheck disable=SC2086 # none, or one word
  tar -xf "$archive" -C "$work/tree" --strip-components=1 $wildcards '*/src/test/regress'
  rm -rf "$regress"
  mkdir -p "$regress"
  for part in sql data expected parallel_schedule resultmap regress.c; do
    cp -R "$work/tree/src/test/regress/$part" "$regress"
  done
  # Last: what is half-copied has no version.
  echo "$version" >"$regress/version"
}

# headers: prints the folder of the server's headers, those of the installed package or else of Debian's, unpacked and not installed.
headers() {
  config=$(dirname "$(readlink -f "$server")")/pg_config
  [ -x "$config" ] || config=pg_config
  folder=$("$config" --includedir-server 2>/dev/null || :)
  [ -f "$folder/postgres.h" ] && echo "$folder" && return 0
  command -v apt-get >/dev/null 2>&1 || return 1
  major=${version%%.*}
  package=postgresql-server-dev-$major
  installed=$(dpkg-query -W -f '${Version}' "postgresql-$major" 2>/dev/null || :)
  # Within a major version the headers of one minor version are as good as another's.
  (cd "$work" && { apt-get -q download "$package=$installed" || apt-get -q download "$package"; } >&2) || return 1
  dpkg-deb -x "$work/$package"_*.deb "$work/headers" || return 1
  echo "$work/headers/usr/include/postgresql/$major/server"
}

[ "$has_files" = yes ] || fetch_files
say "building regress.so of PostgreSQL $version"
folder=$(headers) ||
  die "the headers of PostgreSQL $version's server were not found: install them (Debian: postgresql-server-dev-${version%%.*})"
cc -O1 -fPIC -shared -fno-strict-aliasing -fwrapv -D_GNU_SOURCE -I"$folder" -o "$work/regress.so" "$regress/regress.c"
mv "$work/regress.so" "$regress/regress.so"
