#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Builds everything and runs every test.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tools/check.sh [--fast] [--jobs N] [--only SUITE[,SUITE...]] [--help]

Installs what is missing, builds, and runs all tests and checks.
The last line is 'N passed, N failed, N skipped'; the exit code is 1 if
anything failed.

  --fast      leave out the tests on whole models
  --jobs N    use N processes (default: number of cores)
  --only S    run only these suites: source, lit, roundtrip, unit, python,
              mechanisms, gpu, models
EOF
}

jobs=$(nproc)
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
  --fast) arguments+=(--fast) ;;
  --jobs) jobs=${2-}; shift ;;
  --only) arguments+=(--only "${2-}"); shift ;;
  --help | -h) usage; exit 0 ;;
  *) echo "error: unknown option '$1'; see tools/check.sh --help" >&2; exit 2 ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ATTN_START=$(date +%s)
export ATTN_START
bash tools/setup.sh --for check --jobs "$jobs"
exec build/venv/bin/python test/run_suites.py --jobs "$jobs" ${arguments[@]+"${arguments[@]}"}
