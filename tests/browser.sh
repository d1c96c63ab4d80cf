#!/bin/sh
# The console in a real Chromium, against a real OpenID Connect provider and a real psql: people log in, look, approve, deny. The pages' pictures go
# to docs/. `tests/run.sh` runs the same without keeping pictures.
set -eu
cd "$(dirname "$0")/.."
PROVOST_TEST_PICTURES=$(pwd)/docs
export PROVOST_TEST_PICTURES
exec sh tests/run.sh browser::
