#!/bin/bash
# Functions for all our deploy scripts.

log()  { printf '[%s] %s\n' "${0##*/}" "$*"; }
warn() { log "WARNING: $*" >&2; }
die()  { local code=$1; shift; warn "$@"; exit "$code"; }

# retry TIMES COMMAND...: waits 0.1 s, 0.2 s, 0.4 s, ...
retry() {
  local times=$1 n=1 delay=1
  shift
  until "$@"; do
    local rc=$?
    if (( n >= times )); then
      warn "gave up after $n attempts: $*"
      return "$rc"
    fi
    log "attempt $n of '$*' failed with $rc, next one in ${delay}00 ms"
    sleep "0.$delay"
    n=$((n + 1)); delay=$((delay * 2))
  done
}

require() {
  local missing=()
  for tool; do
    command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
  done
  [[ ${#missing[@]} -eq 0 ]] || die 69 "missing: ${missing[*]}"
}
