# Finds what building and running Provost takes, and installs what is missing after saying so: PostgreSQL's server
# binaries, a C compiler, libclang. Sourced by examples/demo.sh, tests/run.sh and .ci/run, from the repository's root.
# It must never touch what is installed already, nor start a system service.

say() { printf 'set-up: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# as_root COMMAND...: runs it as root, through sudo where we are not.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    die "\`$*\` needs root and there is no sudo: run it as root, then this script again"
  fi
}

# any FILE...: whether one of them exists (arguments are patterns that the caller left unquoted).
any() {
  for candidate in "$@"; do
    [ -e "$candidate" ] && return 0
  done
  return 1
}

has_postgres() {
  { command -v initdb >/dev/null 2>&1 && command -v postgres >/dev/null 2>&1; } ||
    any /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
      /opt/homebrew/opt/postgresql@*/bin/initdb /usr/local/opt/postgresql@*/bin/initdb \
      /Applications/Postgres.app/Contents/Versions/*/bin/initdb
}

has_compiler() { command -v cc >/dev/null 2>&1; }

# libclang with its own headers: bindgen needs both.
has_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  any /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib/clang/*/include/stddef.h /usr/lib64/clang/*/include/stddef.h &&
    any /usr/lib/llvm-*/lib/libclang*.so* /usr/lib64/libclang.so* /usr/lib/libclang.so* /usr/lib/*-linux-gnu*/libclang*.so* &&
    return 0
  any /Library/Developer/CommandLineTools/usr/lib/libclang.dylib \
    /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib/libclang.dylib && return 0
  for folder in /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib; do
    if [ -e "$folder/libclang.dylib" ]; then
      LIBCLANG_PATH=$folder
      export LIBCLANG_PATH
      return 0
    fi
  done
  command -v llvm-config >/dev/null 2>&1 && any "$(llvm-config --libdir)"/libclang.so* "$(llvm-config --libdir)"/libclang.dylib
}

# Debian's packages make and start a cluster of their own; ours is private, so that is switched off while they install.
apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  case " $* " in
    *" postgresql "*)
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql-common
      switch=/etc/postgresql-common/createcluster.d/provost-set-up.conf
      as_root mkdir -p /etc/postgresql-common/createcluster.d
      printf 'create_main_cluster = false\n' | as_root tee "$switch" >/dev/null
      ;;
    *) switch= ;;
  esac
  status=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" || status=$?
  if [ -n "$switch" ]; then
    as_root rm -f "$switch"
    as_root rmdir /etc/postgresql-common/createcluster.d 2>/dev/null || :
  fi
  [ "$status" -eq 0 ] || die "apt-get could not install: $*"
}

# install_missing APT DNF BREW: the packages' names for each package manager.
install_missing() {
  if command -v apt-get >/dev/null 2>&1; then
    say "not found, to be installed with apt-get:$1"
    # shellcheck disable=SC2086 # a list of names
    apt_install $1
  elif command -v dnf >/dev/null 2>&1; then
    say "not found, to be installed with dnf:$2"
    # shellcheck disable=SC2086
    as_root dnf install -q -y $2 || die "dnf could not install:$2"
  elif command -v brew >/dev/null 2>&1; then
    say "not found, to be installed with brew:$3"
    # shellcheck disable=SC2086
    brew install --quiet $3 || die "brew could not install:$3"
  else
    die "none of apt-get, dnf and brew is here: install PostgreSQL's server, a C compiler and libclang, then run this again"
  fi
}

set_up() {
  command -v cargo >/dev/null 2>&1 || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  command -v cargo >/dev/null 2>&1 || die "cargo was not found: install Rust (rustup), then run this again"

  apt= dnf= brew=
  if ! has_postgres; then
    apt="$apt postgresql" dnf="$dnf postgresql-server postgresql-contrib" brew="$brew postgresql@17"
  fi
  if ! has_compiler; then
    apt="$apt gcc libc6-dev" dnf="$dnf gcc" brew="$brew gcc"
  fi
  if ! has_libclang; then
    apt="$apt libclang-dev" dnf="$dnf clang-devel" brew="$brew llvm"
  fi
  if [ -n "$apt" ]; then
    install_missing "$apt" "$dnf" "$brew"
    has_postgres || die "PostgreSQL's initdb is still not found"
    has_libclang || die "libclang is still not found: set LIBCLANG_PATH to its folder"
  fi

  # pg_query's build script rewrites its own sources where it finds protoc; this is its switch against that.
  if command -v protoc >/dev/null 2>&1; then
    say "protoc is installed: the build is told not to use it (DOCS_RS=1)"
    DOCS_RS=1
    export DOCS_RS
  fi
}
