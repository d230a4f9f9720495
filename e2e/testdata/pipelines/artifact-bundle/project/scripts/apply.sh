#!/usr/bin/env bash
set -o errexit -o nounset -o pipefail
readonly dir=$1
mapfile -t files < <(find "$dir" -name '*.yaml' | sort)
echo "applying ${#files[@]} files"
args=()
for f in "${files[@]}"; do args+=(-f "$f"); done
kubectl apply -n "$KUBE_NAMESPACE" "${args[@]}"
