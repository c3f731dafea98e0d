#!/usr/bin/env bash
# The same bits on ARM: builds the engine and tools/bits_driver for aarch64 and runs rows of the table there, emulated.
#
#   tools/arm.sh [BUILD]        a folder that is made or used again; build/arm if not said
#
# Takes: `python` with simdrnn installed, which writes the rows and what must come out; cmake and ninja; Debian's
# g++-aarch64-linux-gnu and qemu-user, which it installs where they are missing and it may.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/arm}

fail() { printf 'tools/arm.sh: %s\n' "$1" >&2 && exit 1; }

missing() {
  local program
  for program in aarch64-linux-gnu-g++ qemu-aarch64; do
    command -v "$program" >/dev/null || echo "$program"
  done
}

packages="g++-aarch64-linux-gnu qemu-user"
if [ -n "$(missing)" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "expected $(missing | paste -sd' '): install Debian's $packages, or run this as root on a Debian"
  fi
  # shellcheck disable=SC2086
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } \
    >"${TMPDIR:-/tmp}/simdrnn-arm-packages.log" 2>&1 ||
    fail "expected a package archive with $packages: $(tail -n 1 "${TMPDIR:-/tmp}/simdrnn-arm-packages.log")"
fi

mkdir -p "$build"
python tools/bits.py --problems "$build/problems.bin"
cmake --preset arm -B "$build" >"$build/configured.log" || { cat "$build/configured.log" && exit 1; }
cmake --build "$build" --parallel 2
qemu-aarch64 "$build/bits_driver" "$build/problems.bin"
