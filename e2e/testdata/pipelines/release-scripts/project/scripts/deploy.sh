#!/bin/bash
set -Eeuo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
. "$here/lib.sh"

usage() {
  cat <<-USAGE
	Usage: ${0##*/} [-v] -n NAMESPACE -i IMAGE -t TAG NAME
	  -v  be verbose
	USAGE
}

verbose=0 namespace= image= tag=
while getopts ':n:i:t:vh' opt; do
  case $opt in
    n) namespace=$OPTARG ;;
    i) image=$OPTARG ;;
    t) tag=$OPTARG ;;
    v) verbose=1 ;;
    h) usage; exit 0 ;;
    \?) warn "unknown option -$OPTARG"; usage >&2; exit 64 ;;
    :) die 64 "-$OPTARG needs a value" ;;
  esac
done
shift $((OPTIND - 1))
name=${1:?name of the deployment}

require kubectl jq sed mktemp

work=$(mktemp -d)
cleanup() {
  local rc=$?
  rm -rf "$work"
  kubectl -n "$namespace" delete configmap deploy-lock --ignore-not-found >/dev/null
  log "finished with $rc"
}
trap cleanup EXIT
trap 'warn "line $LINENO"' ERR

lock() {
  kubectl -n "$namespace" create configmap deploy-lock --from-literal=owner="job-$CI_JOB_NAME" >/dev/null 2>"$work/err" && return 0
  grep -q "already exists" "$work/err" && return 75
  cat "$work/err" >&2
  return 1
}

lock || die 75 "somebody else is deploying"
retry 2 lock || log "the lock holds"

(( verbose )) && log "image is $image:$tag"

# The third attempt finds the file.
flaky() {
  local n; n=$(cat "$work/count" 2>/dev/null || echo 0)
  echo $((n + 1)) > "$work/count"
  [ "$n" -ge 2 ]
}
retry 5 flaky now

sed "s,{{name}},$name,g;s,{{image}},$image,;s,{{tag}},$tag," "$here/../templates/deployment.yaml" > "$work/deployment.yaml"
retry 3 kubectl -n "$namespace" apply -f "$work/deployment.yaml"
kubectl -n "$namespace" rollout status "deployment/$name" --timeout 10s

generation=$(kubectl -n "$namespace" get deployment "$name" -o json | jq '.metadata.generation == .status.observedGeneration')
log "observed: $generation"
log "deployed $(kubectl -n "$namespace" get deployment "$name" -o jsonpath='{..image}')"
