#!/usr/bin/env bash
# wait.sh NAMESPACE NAME TIMEOUT REPLICAS
set -uo pipefail

ns=$1 name=$2 timeout=$3 replicas=$4

kubectl -n "$ns" apply -f - <<EOF
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $name
spec:
  replicas: $replicas
  progressDeadlineSeconds: 600
  selector:
    matchLabels: {app: $name}
  template:
    metadata:
      labels: {app: $name}
      annotations: {release: "r$CI_PIPELINE_IID"}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: registry.acme.example/$name:r$CI_PIPELINE_IID
EOF

if kubectl -n "$ns" rollout status "deployment/$name" --timeout="$timeout"; then
  echo "rollout done"
  exit 0
fi

echo "--- not ready in $timeout" >&2
kubectl -n "$ns" get deployment "$name" -o json |
  jq -r '.status.conditions // [] | sort_by(.type)[] | "\(.type)=\(.status) \(.reason)"' >&2
kubectl -n "$ns" get pods -l "app=$name" -o json | jq -r '.items[] | .status.phase, (.status.conditions // [] | .[].reason)' | head -n 5 >&2

kubectl -n "$ns" rollout undo "deployment/$name"
kubectl -n "$ns" scale "deployment/$name" --replicas=0
kubectl -n "$ns" rollout status "deployment/$name" --timeout=30s
exit 1
