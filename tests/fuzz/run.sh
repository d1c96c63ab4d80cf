#!/bin/sh
# Fuzzes the policy language: every target for some seconds, from the project's own policies as seeds.
# usage: sh tests/fuzz/run.sh [--seconds N] [--target NAME]
set -eu

cd "$(dirname "$0")/../.."
seconds=60
targets="lexer_parser compiler"
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=$2; shift 2 ;;
    --target) targets=$2; shift 2 ;;
    *) echo "usage: sh tests/fuzz/run.sh [--seconds N] [--target NAME]" >&2; exit 2 ;;
  esac
done
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }

# The seeds: what people really write, mistakes included.
seeds=tests/fuzz/corpus/seeds
rm -rf "$seeds"
mkdir -p "$seeds"
find policies examples dsl/tests/golden tests/corpus -name '*.pol' |
  while IFS= read -r file; do cp "$file" "$seeds/$(echo "$file" | tr / -)"; done

for target in $targets; do
  found=tests/fuzz/corpus/$target
  mkdir -p "$found"
  # No sanitizer: the code fuzzed has no unsafe, and memory is then what a gateway would use.
  cargo +nightly fuzz run --fuzz-dir tests/fuzz --sanitizer none "$target" "$found" "$seeds" -- \
    -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=16384 \
    -dict=tests/fuzz/policy.dict -print_final_stats=1
done
