#!/bin/sh
# The long form of the tests of faults (docs/faults.md): streams of 10 GB that nobody takes at first, and broken frames for minutes.
#   sh tests/faults.sh                    both: 10 GB, 300 s
#   sh tests/faults.sh --bytes 1000000000 --seconds 60 --seed 7
# `PROVOST_GATEWAY` names the gateway's build to stream through; without, an optimised one is built.
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh

PROVOST_STREAM_BYTES=10000000000 PROVOST_FRAMES_SECONDS=300 PROVOST_FRAMES_SEED=1
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "\`$1\` needs a value"
  case $1 in
    --bytes) PROVOST_STREAM_BYTES=$2 ;;
    --seconds) PROVOST_FRAMES_SECONDS=$2 ;;
    --seed) PROVOST_FRAMES_SEED=$2 ;;
    *) die "unknown argument \`$1\`: --bytes, --seconds, --seed" ;;
  esac
  shift 2
done
export PROVOST_STREAM_BYTES PROVOST_FRAMES_SECONDS PROVOST_FRAMES_SEED

set_up
if [ -z "${PROVOST_GATEWAY:-}" ]; then
  cargo build --locked --release --workspace --bin provost
  PROVOST_GATEWAY=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/release/provost
fi
export PROVOST_GATEWAY
cargo test --locked --workspace --lib -- --nocapture session::tests::broken
cargo test --locked --workspace --test e2e -- --nocapture --test-threads 1 streams
