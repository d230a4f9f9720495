#!/usr/bin/env bash
set -euo pipefail
shopt -s nullglob

region=${1:?region}
tier=${2:-silver}

declare -A ZONE=(
  [eu]="eu-central-1"
  [us]="us-east-1"
  [ap]="ap-southeast-2"
)
SERVICES=(front back)
[[ $tier == gold ]] && SERVICES+=("cache")

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ! -v ZONE[$region] ]]; then
  echo "unknown region $region" >&2
  exit 64
fi

kubectl -n "$NAMESPACE" create configmap region \
  --from-literal=zone="${ZONE[$region]}" --from-literal=tier="$tier" \
  --dry-run=client -o yaml | kubectl -n "$NAMESPACE" apply -f -

index=0
for svc in "${SERVICES[@]}"; do
  port=$((8000 + index++ * 10))
  cat <<YAML | kubectl -n "$NAMESPACE" apply -f -
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $svc
  labels: {region: $region}
spec:
  replicas: 0
  selector: {matchLabels: {app: $svc}}
  template:
    metadata: {labels: {app: $svc}}
    spec:
      nodeSelector:
        topology.kubernetes.io/region: ${ZONE[$region]}
      containers:
      - name: $svc
        image: registry.acme.example/global/$svc:5
        args: ["--port=$port", "--peers=$(IFS=,; echo "${SERVICES[*]/%/.$NAMESPACE}")"]
YAML
done

files=(extra/"$region"/*.yaml)
echo "${#files[@]} extra file(s)"
for f in "${files[@]}"; do
  kubectl -n "$NAMESPACE" apply -f "$f"
done
kubectl -n "$NAMESPACE" rollout status deployment "${SERVICES[0]}" --timeout=20s
