#!/usr/bin/env bash
set -euo pipefail
in=${1:--}

items=()
while IFS= read -r entry; do
  name=$(jq -r .key <<<"$entry")
  echo "generating $name" >&2
  labels=$(yq -o=json -I=0 '.defaults.labels' defaults.yaml)
  items+=("$(jq -n --arg name "$name" --argjson spec "$(jq -c .value <<<"$entry")" --argjson labels "$labels" '{
    apiVersion: "apps/v1", kind: "Deployment",
    metadata: {name: $name, labels: $labels},
    spec: {
      replicas: 0,
      selector: {matchLabels: {app: $name}},
      template: {
        metadata: {labels: ($labels + {app: $name})},
        spec: {containers: [{name: $name, image: $spec.image,
          env: [($spec.env // {}) | to_entries[] | {name: .key, value: (.value | tostring)}]}]}
      }
    }
  }')")
  items+=("$(jq -n --arg name "$name" --argjson port "$(jq '.value.port // 80' <<<"$entry")" --argjson labels "$labels" \
    '{apiVersion: "v1", kind: "Service", metadata: {$name, $labels}, spec: {selector: {app: $name}, ports: [{port: 80, targetPort: $port}]}}')")
done < <(jq -c 'to_entries[] | select(.value.enabled != false)' "$in")

printf '%s\n' "${items[@]}" | jq -s '{apiVersion: "v1", kind: "List", items: .}'
