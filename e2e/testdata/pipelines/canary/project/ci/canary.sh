# shellcheck shell=bash

# weight NAME PERCENT
weight() {
  local name="$1" percent=$2
  if [[ $name == main ]]; then
    name=api
  fi
  if ! kubectl get ingress "$name" &>/dev/null; then
    kubectl get ingress api -o json |
      jq --arg n "$name" 'del(.metadata.uid, .metadata.resourceVersion, .metadata.creationTimestamp, .metadata.managedFields,
          .metadata.generation, .status, .metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"])
        | .metadata.name = $n
        | .metadata.annotations["nginx.ingress.kubernetes.io/canary"] = "true"
        | (.spec.rules[].http.paths[].backend.service.name) = $n' |
      kubectl create -f -
  fi
  kubectl annotate --overwrite ingress "$name" "nginx.ingress.kubernetes.io/canary-weight=$percent" > /dev/null
  printf '%-12s %3d%%\n' "$name" "$percent"
}

healthy() {
  local want have
  want=$(kubectl get deployment "$1" -o jsonpath='{.spec.replicas}')
  have=$(kubectl get deployment "$1" -o jsonpath='{.status.readyReplicas}')
  [ "${have:-0}" -ge "$want" ]
}
