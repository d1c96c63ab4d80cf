#!/bin/sh
# How long somebody else's statements take while many wait for people and many people look at them, in turns with and without (docs/approvals.md).
#   sh tests/approvals-load.sh                    500 held, 50 viewers (see tests/e2e/approvals_load.rs), 3 rounds of 10 s each way
#   sh tests/approvals-load.sh --held 100 --viewers 10 --rounds 1 --seconds 5
# `PROVOST_GATEWAY` names the gateway's build; without, an optimised one is built.
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh

PROVOST_HELD=500 PROVOST_VIEWERS=50 PROVOST_LOAD_ROUNDS=3 PROVOST_LOAD_SECONDS=10 PROVOST_LOAD_PAUSE_MS=2000
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "\`$1\` needs a value"
  case $1 in
    --held) PROVOST_HELD=$2 ;;
    --viewers) PROVOST_VIEWERS=$2 ;;
    --rounds) PROVOST_LOAD_ROUNDS=$2 ;;
    --seconds) PROVOST_LOAD_SECONDS=$2 ;;
    *) die "unknown argument \`$1\`: --held, --viewers, --rounds, --seconds" ;;
  esac
  shift 2
done
export PROVOST_HELD PROVOST_VIEWERS PROVOST_LOAD_ROUNDS PROVOST_LOAD_SECONDS PROVOST_LOAD_PAUSE_MS

set_up
if [ -z "${PROVOST_GATEWAY:-}" ]; then
  cargo build --locked --release --workspace --bin provost
  PROVOST_GATEWAY=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/release/provost
fi
export PROVOST_GATEWAY
cargo test --locked --workspace --test e2e -- --nocapture --test-threads 1 approvals_load
