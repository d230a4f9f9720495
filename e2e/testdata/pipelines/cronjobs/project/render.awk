function yaml_list(first,   i, out) {
  out = ""
  for (i = first; i <= NF; i++) out = out sprintf("%s\"%s\"", out == "" ? "" : ", ", $i)
  return out
}
{
  schedule = ($1 ~ /^@/) ? $1 : $1 " " $2 " " $3 " " $4 " " $5
  name = $6
  if (NR > 1) print "---"
  print "apiVersion: batch/v1"
  print "kind: CronJob"
  print "metadata:"
  printf "  name: %s\n  labels:\n    app.kubernetes.io/managed-by: gitlab\n    app: jobs\n", name
  print "spec:"
  printf "  schedule: \"%s\"\n", schedule
  print "  concurrencyPolicy: Forbid\n  suspend: true\n  jobTemplate:\n    spec:\n      template:\n        spec:"
  print "          restartPolicy: Never\n          containers:"
  printf "            - name: %s\n              image: registry.acme.example/jobs:3\n              command: [%s]\n", name, yaml_list(7)
}
