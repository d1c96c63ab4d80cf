#!/bin/sh
# The demo on a bare machine with Rust: set-up, build, `provost demo`. Arguments go to `provost demo`:
#   sh examples/demo.sh            keeps running on a terminal; plays the guided story elsewhere
#   sh examples/demo.sh --script   plays the guided story
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh
set_up
cargo build --quiet --locked --bin provost
exec "${CARGO_TARGET_DIR:-target}/debug/provost" demo "$@"
