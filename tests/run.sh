#!/bin/sh
# Every test: set-up, Python clients, an S3 server and a tester of APIs in target/python, an OIDC provider in target/oidc, what drives a browser in target/browser, Azure's storage
# in target/azure, PostgreSQL's regression files in target/regress, then cargo nextest (or cargo test). Arguments go to the test runner:
#   sh tests/run.sh              all
#   sh tests/run.sh masks        those with `masks` in their names
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh
set_up

# The Python client that the end-to-end tests drive, a server of the S3 protocol (moto), schemathesis, which compares the console with its
# OpenAPI document, a mail server, what auditors read evidence with, and the schemas that reports are checked against, in a folder of the build's own.
python=${CARGO_TARGET_DIR:-target}/python
if ! "$python/bin/python" -c 'import psycopg, moto.server, flask_cors, schemathesis, cryptography, pyarrow, duckdb, pandas, pyspark, trestle, ocsf_json_schema, jsonschema, aiosmtpd' >/dev/null 2>&1; then
  if ! command -v python3 >/dev/null 2>&1 || ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    install_missing " python3 python3-venv" " python3" " python3"
  fi
  say "installing the tests' Python packages into $python"
  rm -rf "$python"
  python3 -m venv "$python"
  "$python/bin/python" -m pip install --quiet --disable-pip-version-check 'psycopg[binary]==3.2.*' 'moto[s3]==5.*' 'flask==3.*' 'flask-cors==6.*' \
    'schemathesis==4.*' 'cryptography' 'pyarrow==26.*' 'duckdb==1.5.*' 'pandas==2.3.*' 'pyspark==3.5.*' 'compliance-trestle==5.2.*' 'ocsf-json-schema==1.2.*' \
    'jsonschema==4.*' 'aiosmtpd==1.4.*'
fi

# Makes the certificates and the time stamps that stamps are tested with.
if ! command -v openssl >/dev/null 2>&1; then
  install_missing " openssl" " openssl" " openssl@3"
fi

# Spark runs in Java.
if ! command -v java >/dev/null 2>&1; then
  install_missing " openjdk-17-jre-headless" " java-17-openjdk-headless" " openjdk@17"
fi

# A real OpenID Connect provider, likewise. (npm's folder must be absolute for the tests, which run elsewhere.)
oidc=$(mkdir -p "${CARGO_TARGET_DIR:-target}/oidc" && cd "${CARGO_TARGET_DIR:-target}/oidc" && pwd)
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
  install_missing " nodejs npm" " nodejs npm" " node"
fi
if ! cmp -s tests/oidc/package.json "$oidc/package.json" || [ ! -d "$oidc/node_modules/oidc-provider" ]; then
  say "installing oidc-provider into $oidc"
  rm -rf "$oidc/node_modules"
  cp tests/oidc/package.json "$oidc/package.json"
  (cd "$oidc" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts)
fi
cp tests/oidc/provider.mjs "$oidc/provider.mjs"
PROVOST_TEST_OIDC=$oidc
export PROVOST_TEST_OIDC

# A real browser, and what drives it and looks whether everybody can use what it shows, likewise.
browser=$(mkdir -p "${CARGO_TARGET_DIR:-target}/browser" && cd "${CARGO_TARGET_DIR:-target}/browser" && pwd)
if ! command -v chromium >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1 &&
  ! any "/Applications/Chromium.app/Contents/MacOS/Chromium" "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; then
  install_missing " chromium" " chromium" " --cask chromium"
fi
if ! cmp -s tests/browser/package.json "$browser/package.json" || [ ! -d "$browser/node_modules/playwright-core" ]; then
  say "installing playwright-core and axe-core into $browser"
  rm -rf "$browser/node_modules"
  cp tests/browser/package.json "$browser/package.json"
  (cd "$browser" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts)
fi
cp tests/browser/*.mjs "$browser/"
PROVOST_TEST_BROWSER=$browser
export PROVOST_TEST_BROWSER

# A server of Azure Blob Storage, likewise.
azure=${CARGO_TARGET_DIR:-target}/azure
if ! cmp -s tests/azure/package.json "$azure/package.json" || [ ! -d "$azure/node_modules/azurite" ]; then
  say "installing azurite into $azure"
  rm -rf "$azure"
  mkdir -p "$azure"
  cp tests/azure/package.json "$azure/package.json"
  (cd "$azure" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts)
fi
cp tests/azure/container.mjs "$azure/container.mjs"

# sqlsmith gives the leak test a share of its statements; only Debian and its like have it.
if ! command -v sqlsmith >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
  install_missing " sqlsmith" "" ""
fi

# PostgreSQL's own regression files, for the oracle of SQL analysis.
sh tests/regress/fetch.sh

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --workspace --no-fail-fast "$@"
else
  cargo test --locked --workspace --no-fail-fast "$@"
fi
