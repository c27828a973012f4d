#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Packs compiled programs for a GPU machine, and runs them there.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: gpu-check.sh pack [OUT.tar.gz] [OPTION...]
       gpu-check.sh run [BUNDLE.tar.gz | FOLDER] [--no-bench] [--no-sanitizer]

pack   needs the build (tools/setup.sh --for check), no GPU; writes one file of
       less than 64 MiB, build/attn-gpu.tar.gz unless named. Options go to
       python -m attn.gpu.bundle.
run    needs a GPU, its driver, Python with PyTorch and NumPy; neither LLVM nor
       the internet. Takes the bundle that this script lies in unless named.
       Checks every program, then compute-sanitizer on small ones where it is
       installed, then measures. Results go to the folder 'results'.
EOF
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

pack() {
  local root output
  root=$(dirname "$here")
  output=$root/build/attn-gpu.tar.gz
  if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    output=$1
    shift
  fi
  local python=${PYTHON:-$root/build/venv/bin/python}
  [ -x "$python" ] || python=python3
  export ATTN_LIB_DIR=${ATTN_LIB_DIR:-${ATTN_BUILD_DIR:-$root/build}/lib}
  export PYTHONPATH=$root/python PYTHONDONTWRITEBYTECODE=1
  exec "$python" -m attn.gpu.bundle "$output" "$@"
}

# Prints a title, runs a command, and remembers whether it failed.
failed=0
step() {
  printf '\n== %s\n' "$1"
  shift
  if ! "$@"; then
    failed=1
  fi
}

sanitize() {
  local tool
  for tool in memcheck racecheck synccheck; do
    step "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 9 \
      --print-limit 5 "$python" -m attn.gpu.check --only "$1"
  done
}

run() {
  local bundle=$here with_bench=1 with_sanitizer=1
  while [ $# -gt 0 ]; do
    case $1 in
    --no-bench) with_bench=0 ;;
    --no-sanitizer) with_sanitizer=0 ;;
    -*) echo "error: unknown option '$1'; see gpu-check.sh --help" >&2; exit 2 ;;
    *) bundle=$1 ;;
    esac
    shift
  done
  if [ -f "$bundle" ]; then
    mkdir -p attn-gpu-unpacked
    tar -xzf "$bundle" -C attn-gpu-unpacked
    bundle=$PWD/attn-gpu-unpacked/attn-gpu
  fi
  if [ ! -f "$bundle/manifest.json" ]; then
    echo "error: '$bundle' is no bundle; make one by 'tools/gpu-check.sh pack'" >&2
    exit 2
  fi
  bundle=$(cd "$bundle" && pwd)
  python=${PYTHON:-python3}
  export ATTN_BUNDLE=$bundle ATTN_LIB_DIR=$bundle/lib PYTHONPATH=$bundle/python
  mkdir -p results
  nvidia-smi 2>/dev/null || echo "nvidia-smi is not installed"
  step "results against float32" "$python" -m attn.gpu.check --json results/check.json
  if [ $with_sanitizer = 1 ]; then
    if command -v compute-sanitizer >/dev/null; then
      local part
      for part in "causal bf16" "block lists" "routed rows" "decode" "linear"; do
        sanitize "$part"
      done
    else
      echo "compute-sanitizer is not installed: not checked by it"
    fi
  fi
  if [ $with_bench = 1 ]; then
    step "measurements" "$python" -m attn.bench gpu --json results/bench.json
  fi
  exit $failed
}

case ${1-} in
pack) shift; pack "$@" ;;
run) shift; run "$@" ;;
--help | -h) usage ;;
'') if [ -f "$here/manifest.json" ]; then run; else usage >&2; exit 2; fi ;;
*) echo "error: unknown command '$1'; see gpu-check.sh --help" >&2; exit 2 ;;
esac
