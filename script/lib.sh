# Shared by the scripts beside it: where things are, what Debian packages are needed, how to build. Sourced, never run.
# shellcheck shell=bash

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What the build and the daemon need.
build_packages=(
  g++ cmake ninja-build ccache pkg-config
  libpoco-dev libsystemd-dev libspdlog-dev libtomlplusplus-dev libsqlite3-dev libsodium-dev libssl-dev
  libexpected-dev libqrencode-dev libcli11-dev nlohmann-json3-dev libboost-dev libgtest-dev libgmock-dev
  libsdbus-c++-dev
)
# What the packages (script/package) need besides.
package_packages=(debhelper dpkg-dev fakeroot bash-completion)
# systemd.pc, which says where units belong, has a package of its own since Debian 13.
if [ "$(. /etc/os-release && echo "${VERSION_ID:-13}")" -lt 13 ]; then package_packages+=(systemd); else package_packages+=(systemd-dev); fi
# What the unit tests need besides, when they run beside the packages (script/package --check): as in debian/control.
check_packages=(dbus-daemon python3-yaml)
# What the practice provider (script/server) needs besides.
server_packages=(python3 python3-cryptography curl ca-certificates)
# What the tests need besides.
test_packages=(
  libbenchmark-dev python3-yaml openssl sqlite3 mandoc git util-linux passwd procps tmux python3-zbar nodejs npm
  chromium chromium-driver libnss3-tools dbus iproute2 libglib2.0-bin python3-dbus python3-gi
  zsh fish bash-completion debootstrap systemd-container clang libclang-rt-dev
)

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    echo "script: root or sudo is needed to install: $*" >&2
    return 1
  fi
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# A machine may have node and npm from elsewhere; Debian's npm would then only conflict.
is_satisfied() {
  case $1 in
    nodejs) command -v node >/dev/null ;;
    npm) command -v npm >/dev/null ;;
    *) is_installed "$1" ;;
  esac
}

# install_missing PACKAGE… : from Debian, only what is not there.
install_missing() {
  local missing=() package
  for package in "$@"; do is_satisfied "$package" || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return
  say "Installing from Debian: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# placed PRESET COMMAND…: runs it; a preset under sanitizers without the randomness of addresses. They want their shadow at fixed ones,
# and where the kernel takes more than 28 random bits (vm.mmap_rnd_bits; 32 on new machines, and only root may read it) something else
# lies there now and then: the programs of gcc 12 and clang 14 end before main(). Where that is not allowed they may still go.
placed() {
  local preset=$1
  shift
  case $preset in
    asan-ubsan | tsan | fuzz) if setarch --addr-no-randomize true 2>/dev/null; then set -- setarch --addr-no-randomize "$@"; fi ;;
  esac
  "$@"
}

# build PRESET [TARGET…]. With CREDSYNC_UNITS set, of the programs of units only those (a;b;c).
build() {
  local preset=$1
  shift
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  # Paths count from the tree, wherever it is: script/package --quick compiles a copy of it with the same options.
  local -x CCACHE_BASEDIR=${CCACHE_BASEDIR:-$root} CCACHE_NOHASHDIR=1
  say "Building ($preset)"
  (cd "$root" && cmake --preset "$preset" -DCREDSYNC_UNITS="${CREDSYNC_UNITS:-}" "${launcher[@]}" >"$root/build/configure.log" 2>&1) || {
    cat "$root/build/configure.log" >&2
    return 1
  }
  (cd "$root" && placed "$preset" cmake --build --preset "$preset" ${1:+--target "$@"})
}

mkdir -p "$root/build"
