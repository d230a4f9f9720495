{{/* Everything that is missing or does not go together, told at once. */}}
{{- define "towline.validate" -}}
{{- include "towline.init" . -}}
{{- include "towline.validateOutside" . -}}
{{- include "towline.validateCredentials" . -}}
{{- include "towline.validateRedis" . -}}
{{- include "towline.validateAccess" . -}}
{{- include "towline.validateRunner" . -}}
{{- include "towline.validateCache" . -}}
{{- with .Values.faults -}}
{{- fail (printf "\n\n%s\n\nvalues.yaml of the chart says more about each value.\n" (join "\n" .)) -}}
{{- end -}}
{{- end -}}

{{- define "towline.validateOutside" -}}
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
{{- with $v.gitlab.caBundle -}}
{{- if and .existingConfigMap .value -}}
{{- $faults = append $faults "gitlab.caBundle has both existingConfigMap and value: leave one of them empty" -}}
{{- else if and .value (not (contains "-----BEGIN CERTIFICATE-----" .value)) -}}
{{- $faults = append $faults "gitlab.caBundle.value holds no PEM certificate: it begins with -----BEGIN CERTIFICATE-----" -}}
{{- end -}}
{{- end -}}
{{- if and $v.gitlab.proxy.https $v.gitlab.proxy.existingSecret -}}
{{- $faults = append $faults "gitlab.proxy has both https and existingSecret: leave one of them empty" -}}
{{- end -}}
{{- $_ := set $v "faults" (concat $v.faults $faults) -}}
{{- end -}}

{{- define "towline.validateCredentials" -}}
{{- $faults := list -}}
{{- $v := .Values -}}
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
{{- if and $v.config (or .existingSecret .value) (lt (len $v.configSources) 2) -}}
{{- $faults = append $faults "config and credentials.config are both given, and the agent has only one configuration: leave config empty to take it from GitLab, or credentials.config to take it from these values, or say in configSources which one comes first" -}}
{{- end -}}
{{- if and (has "local" $v.configSources) (not $v.config) -}}
{{- $faults = append $faults "configSources names local, and config is empty" -}}
{{- end -}}
{{- if and (has "repository" $v.configSources) (not (or .existingSecret .value)) -}}
{{- $faults = append $faults "configSources names repository, and credentials.config has no token to read it with" -}}
{{- end -}}
{{- if and $v.config $v.configSources (not (has "local" $v.configSources)) -}}
{{- $faults = append $faults "config is given and configSources does not name local: leave one of them empty" -}}
{{- end -}}
{{- end -}}
{{- if not $v.credentials.signing.existingSecret -}}
{{- $known := lookup "v1" "Secret" .Release.Namespace (printf "%s-signing" (include "towline.fullname" .)) | default dict -}}
{{- $last := dig "data" dict $known | keys | sortAlpha | last | default "" | trimSuffix ".pem" | atoi -}}
{{- if gt $last (int $v.credentials.signing.generation) -}}
{{- $faults = append $faults (printf "credentials.signing.generation is %d, and the key of generation %d signs already: keys are never taken back, so give %d, or more for another key" (int $v.credentials.signing.generation) $last $last) -}}
{{- end -}}
{{- end -}}
{{- if and $v.towline (not $v.config) -}}
{{- $faults = append $faults "towline is given and config is empty: a towline.yaml in the configuration project stands beside the config.yaml there" -}}
{{- end -}}
{{- if dig "agent" "token" "" $v.config -}}
{{- $faults = append $faults "config.agent.token would lie open in a ConfigMap: give the token under credentials.runner" -}}
{{- end -}}
{{- if eq $v.tls.mode "existing" -}}
{{- if not (and $v.tls.existing.policy $v.tls.existing.tunnel) -}}
{{- $faults = append $faults "tls.existing is missing: with tls.mode existing, name the Secrets of policy and tunnel" -}}
{{- end -}}
{{- if and (eq $v.redis.mode "embedded") (not $v.tls.existing.redis) -}}
{{- $faults = append $faults "tls.existing.redis is missing: with tls.mode existing, name the Secret of the embedded Redis" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $v "faults" (concat $v.faults $faults) -}}
{{- end -}}

{{- define "towline.validateRedis" -}}
{{- $faults := list -}}
{{- $v := .Values -}}
{{- with $v.redis.external -}}
{{- $given := or .existingSecret .url .addresses -}}
{{- if and (eq $v.runner.autoscaling.kind "keda") (eq $v.redis.mode "external") $given (not .addresses) -}}
{{- $faults = append $faults "runner.autoscaling.kind is keda, and KEDA has to know where Redis is: give redis.external.addresses, with username and password, instead of url or existingSecret, in which the address stands together with the password" -}}
{{- end -}}
{{- if and (eq $v.redis.mode "external") (not $given) -}}
{{- $faults = append $faults "redis.external is missing: put the address of your Redis (redis://:password@host:6379/0) into a Secret and name that in redis.external.existingSecret, or give it as redis.external.url, or host:port as redis.external.addresses; or leave redis.mode empty for a Redis of this release" -}}
{{- else if and (eq $v.redis.mode "embedded") $given -}}
{{- $faults = append $faults "redis.external is given, and redis.mode is embedded: leave one of them empty" -}}
{{- end -}}
{{- if and .existingSecret .url -}}
{{- $faults = append $faults "redis.external has both existingSecret and url: leave one of them empty" -}}
{{- else if and .url (not (regexMatch "^rediss?://[^/]+" .url)) -}}
{{- $faults = append $faults "redis.external.url is no address of Redis: it has the form redis://:password@host:6379/0, or rediss:// for TLS" -}}
{{- end -}}
{{- if and .addresses (or .existingSecret .url) -}}
{{- $faults = append $faults "redis.external has addresses and an address in url or existingSecret: leave one of them empty" -}}
{{- end -}}
{{- range .addresses -}}
{{- if not (regexMatch "^[^:\\s]+:[0-9]+$|^\\[[0-9a-fA-F:]+\\]:[0-9]+$" .) -}}
{{- $faults = append $faults (printf "redis.external.addresses has %q: it has the form host:port" .) -}}
{{- end -}}
{{- end -}}
{{- if and .cluster .sentinel.master -}}
{{- $faults = append $faults "redis.external has both cluster and sentinel.master: Redis is one or the other" -}}
{{- end -}}
{{- if and (or .cluster .sentinel.master) (not .addresses) -}}
{{- $faults = append $faults "redis.external.addresses is missing: name the nodes of the Cluster or the Sentinels" -}}
{{- end -}}
{{- if and (gt (len .addresses) 1) (not .cluster) (not .sentinel.master) -}}
{{- $faults = append $faults "redis.external.addresses names several servers: say what they are with redis.external.cluster or redis.external.sentinel.master" -}}
{{- end -}}
{{- if and .password.existingSecret .password.value -}}
{{- $faults = append $faults "redis.external.password has both existingSecret and value: leave one of them empty" -}}
{{- end -}}
{{- $plain := or .addresses (hasPrefix "redis://" .url) -}}
{{- if and (or .tls.caBundle.existingConfigMap .tls.caBundle.existingSecret) $plain (not .tls.enabled) -}}
{{- $faults = append $faults "redis.external.tls.caBundle is given, and Redis is reached without TLS: set redis.external.tls.enabled, or leave caBundle empty" -}}
{{- end -}}
{{- if and .cluster (gt (int .database) 0) -}}
{{- $faults = append $faults (printf "redis.external.database is %d, and a Cluster has only database 0: leave it out" (int .database)) -}}
{{- end -}}
{{- if and .tls.caBundle.existingConfigMap .tls.caBundle.existingSecret -}}
{{- $faults = append $faults "redis.external.tls.caBundle has both existingConfigMap and existingSecret: leave one of them empty" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $v "faults" (concat $v.faults $faults) -}}
{{- end -}}

{{- define "towline.validateAccess" -}}
{{- $faults := list -}}
{{- $v := .Values -}}
{{- if and $v.gitops.enabled (not (include "towline.hasConfigToken" .)) -}}
{{- $faults = append $faults "gitops.enabled needs credentials.config: the entries of gitops stand in the agent's configuration project" -}}
{{- end -}}
{{- if eq $v.access.mode "serviceAccount" -}}
{{- if not $v.access.namespaces -}}
{{- $faults = append $faults "access.namespaces is missing: with access.mode serviceAccount, say in which namespaces jobs may act" -}}
{{- end -}}
{{- with $v.access.impersonate -}}
{{- if or .users .groups .serviceAccounts .extras -}}
{{- $faults = append $faults "access.impersonate needs a ClusterRole, and with access.mode serviceAccount none is made: leave it empty" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $i, $b := $v.access.bindings -}}
{{- $who := list -}}
{{- range list "project" "group" "agent" "user" "groupName" -}}
{{- if hasKey $b . }}{{ $who = append $who . }}{{ end -}}
{{- end -}}
{{- if ne (len $who) 1 -}}
{{- $faults = append $faults (printf "access.bindings[%d] has to say for whom with one of project, group, agent, user and groupName; it has %d of them" $i (len $who)) -}}
{{- end -}}
{{- if eq (hasKey $b "clusterRole") (hasKey $b "role") -}}
{{- $faults = append $faults (printf "access.bindings[%d] has to name one of clusterRole and role" $i) -}}
{{- else if eq ($b.clusterRole | default "") "cluster-admin" -}}
{{- $faults = append $faults (printf "access.bindings[%d] gives cluster-admin, which this chart gives to nobody: admin is all of a namespace" $i) -}}
{{- end -}}
{{- if and (or $b.tier $b.environment) (not (or $b.project $b.group)) -}}
{{- $faults = append $faults (printf "access.bindings[%d] has a tier or an environment: those belong to a project or a group" $i) -}}
{{- else if and $b.environment (or $b.tier $b.group) -}}
{{- $faults = append $faults (printf "access.bindings[%d] has an environment, which belongs to a project and stands without a tier" $i) -}}
{{- end -}}
{{- if and $b.agent (not $v.access.agentServiceAccount.allowed) -}}
{{- $faults = append $faults (printf "access.bindings[%d] is for the agent's ServiceAccount, and there is none: set access.agentServiceAccount.create, or name one of yours there" $i) -}}
{{- end -}}
{{- if and (eq $v.access.mode "serviceAccount") (not $b.agent) -}}
{{- $faults = append $faults (printf "access.bindings[%d] is for identities that jobs do not have with access.mode serviceAccount: give agent: true" $i) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $v "faults" (concat $v.faults $faults) -}}
{{- end -}}

{{- define "towline.validateRunner" -}}
{{- $faults := list -}}
{{- $v := .Values -}}
{{- with $v.runner.scratch.sizeLimit -}}
{{- if lt (include "towline.bytes" . | float64) (float64 $v.jobs.limits.scratch) -}}
{{- $faults = append $faults (printf "runner.scratch.sizeLimit is %v, less than one job may take (jobs.limits.scratch, %d): the pod would be evicted with all its jobs. Raise it, or leave it empty" . (int64 $v.jobs.limits.scratch)) -}}
{{- end -}}
{{- end -}}
{{- with $v.runner.autoscaling -}}
{{- if and (ne .kind "off") (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- $faults = append $faults (printf "runner.autoscaling.minReplicas is %d, more than maxReplicas, which is %d" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $v "faults" (concat $v.faults $faults) -}}
{{- end -}}
