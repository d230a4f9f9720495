.metadata = {
  name: (.metadata.name + "-canary"),
  labels: (.metadata.labels + {track: "canary"})
}
| .spec.replicas = 0
| .spec.selector.matchLabels.track = "canary"
| .spec.template.metadata.labels.track = "canary"
| .spec.template.spec.containers |= map(
    if .name == "api" then
      .image |= (split(":")[0] + ":" + $tag)
    else . end)
| del(.status)
