#!/bin/sh
# The canary leak test: random statements aimed at every class of bypass, through the real gateway. What is found is printed with its seed, and made small.
#   sh tests/leak.sh --queries 100000 --seed 7     so many statements
#   sh tests/leak.sh --minutes 30                  for so long
#   sh tests/leak.sh --only violation              one generator alone (tests/leak/generator/mod.rs lists them)
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh

while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "\`$1\` needs a value"
  case $1 in
    --queries) PROVOST_LEAK_QUERIES=$2 && export PROVOST_LEAK_QUERIES ;;
    --seed) PROVOST_LEAK_SEED=$2 && export PROVOST_LEAK_SEED ;;
    --minutes) PROVOST_LEAK_MINUTES=$2 && export PROVOST_LEAK_MINUTES ;;
    --only) PROVOST_LEAK_ONLY=$2 && export PROVOST_LEAK_ONLY ;;
    *) die "unknown argument \`$1\`: --queries, --seed, --minutes or --only" ;;
  esac
  shift 2
done

set_up
if ! command -v sqlsmith >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
  install_missing " sqlsmith" "" ""
fi
cargo test --locked --workspace --test leak -- --nocapture --test-threads 1 no_canary_leaves_the_gateway
