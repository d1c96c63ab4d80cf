#!/bin/sh
# The gateway killed (SIGKILL) at random moments under load, over and over: docs/evidence.md says what is checked at the end.
#   sh tests/crash.sh --rounds 500 --seed 7
# `PROVOST_GATEWAY` names the gateway's build to kill; without, the tests' own.
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh

PROVOST_CRASH_ROUNDS=500 PROVOST_CRASH_SEED=1
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "\`$1\` needs a value"
  case $1 in
    --rounds) PROVOST_CRASH_ROUNDS=$2 ;;
    --seed) PROVOST_CRASH_SEED=$2 ;;
    *) die "unknown argument \`$1\`: --rounds, --seed" ;;
  esac
  shift 2
done
export PROVOST_CRASH_ROUNDS PROVOST_CRASH_SEED

set_up
cargo test --locked --workspace --test e2e -- --nocapture --test-threads 1 --exact crash::killed_under_load_nothing_is_lost_or_doubled
