{{/* Everything that is missing or does not go together, told at once. */}}
{{- define "towline.validate" -}}
{{- $faults := list -}}
{{- $v := .Values -}}
{{- if not $v.gitlab.url -}}
{{- $faults = append $faults "gitlab.url is missing: give GitLab's address, for example https://gitlab.example.com" -}}
{{- else if not (regexMatch "^https?://[^/\\s]+\\S*$" $v.gitlab.url) -}}
{{- $faults = append $faults "gitlab.url is no address: it begins with https://, for example https://gitlab.example.com" -}}
{{- end -}}
{{- if not $v.agent -}}
{{- $faults = append $faults "agent is missing: give the GitLab agent as group/project:name" -}}
{{- else if not (regexMatch "^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+:[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $v.agent) -}}
{{- $faults = append $faults (printf "agent is %q: it has the form group/project:name, the agent's configuration project and its name there" $v.agent) -}}
{{- end -}}
{{- with $v.credentials.runner -}}
{{- if and .existingSecret .value -}}
{{- $faults = append $faults "credentials.runner has both existingSecret and value: leave one of them empty" -}}
{{- else if not (or .existingSecret .value) -}}
{{- $faults = append $faults "credentials.runner is missing: create a runner in GitLab (Settings > CI/CD > Runners), put its glrt- token into a Secret and name that in credentials.runner.existingSecret, or give the token as credentials.runner.value for a first try" -}}
{{- else if hasPrefix "glagent-" .value -}}
{{- $faults = append $faults "credentials.runner.value is an agent token (glagent-), with which GitLab hands out no jobs: create a runner (Settings > CI/CD > Runners) and give its glrt- token" -}}
{{- end -}}
{{- end -}}
{{- with $v.credentials.config -}}
{{- if and .existingSecret .value -}}
{{- $faults = append $faults "credentials.config has both existingSecret and value: leave one of them empty" -}}
{{- end -}}
{{- if and $v.config (or .existingSecret .value) -}}
{{- $faults = append $faults "config and credentials.config are both given, and the agent has only one configuration: leave config empty to take it from GitLab, or credentials.config to take it from these values" -}}
{{- end -}}
{{- end -}}
{{- if dig "agent" "token" "" $v.config -}}
{{- $faults = append $faults "config.agent.token would lie open in a ConfigMap: give the token under credentials.runner" -}}
{{- end -}}
{{- with $v.redis.external -}}
{{- if and .existingSecret .url -}}
{{- $faults = append $faults "redis.external has both existingSecret and url: leave one of them empty" -}}
{{- else if not (or .existingSecret .url) -}}
{{- $faults = append $faults "redis.external is missing: this chart brings no Redis of its own yet, so put the address of one (redis://:password@host:6379/0) into a Secret and name that in redis.external.existingSecret, or give it as redis.external.url" -}}
{{- else if and .url (not (regexMatch "^rediss?://[^/]+" .url)) -}}
{{- $faults = append $faults "redis.external.url is no address of Redis: it has the form redis://:password@host:6379/0, or rediss:// for TLS" -}}
{{- end -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n\n%s\n\nvalues.yaml of the chart says more about each value.\n" (join "\n" $faults)) -}}
{{- end -}}
{{- end -}}
