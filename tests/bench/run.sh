#!/bin/sh
# The gateway's speed, side by side on this machine: direct, pgbouncer (session mode), a relay that looks at nothing, the gateway with a
# thousand rules over a log that keeps nothing (`null`), and the gateway as it is (`gateway`), evidence written and sealed.
#
#   sh tests/bench/run.sh                                      everything: three quarters of an hour
#   sh tests/bench/run.sh --only cached --rounds 3             one part: cached, text, tls, bulk, start, calls, idle
#   sh tests/bench/run.sh --help                               rounds, seconds, clients, threads, where the JSON goes
#
# It starts a private PostgreSQL and stops everything again. Tables go to standard output, figures to target/bench.json.
# cpu_us is user and system time of all the proxy's threads for each transaction; it bends least when others use the machine too.
set -eu
cd "$(dirname "$0")/../.."
. examples/setup.sh
set_up
if ! command -v pgbouncer >/dev/null 2>&1 && [ ! -x /usr/sbin/pgbouncer ]; then
  install_missing " pgbouncer" " pgbouncer" " pgbouncer"
fi
if ! command -v strace >/dev/null 2>&1; then
  install_missing " strace" " strace" ""
fi
cargo build --release --locked --workspace --features null-evidence --bin provost --example bench-relay --example bench-gateway >&2
exec python3 tests/bench/run.py --programs "${CARGO_TARGET_DIR:-target}/release" "$@"
