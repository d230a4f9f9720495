{{/* Names that people bring from GitLab's own chart, put where they belong, once
     for all templates. Each leaves a notice; what only the agent tunnel could
     honour is a fault. */}}
{{- define "towline.init" -}}
{{- $v := .Values -}}
{{- if not (hasKey $v "notices") -}}
{{- $_ := set $v "notices" list -}}
{{- $_ := set $v "faults" list -}}
{{- include "towline.initRunner" . -}}
{{- include "towline.initKas" . -}}
{{- include "towline.initObservability" . -}}
{{- include "towline.initAccount" . -}}
{{- include "towline.initRest" . -}}
{{- $_ := set $v "config" (omit $v.config "token" "secretName" "kasAddress" "kasCaCert" "caCert" "kasHeaders" "receptive" "api" "privateApi" "operational_container_scanning") -}}
{{- $external := $v.redis.external -}}
{{- if not $v.redis.mode -}}
{{- $_ := set $v.redis "mode" (ternary "external" "embedded" (or (ne $external.url "") (ne $external.existingSecret "") (gt (len $external.addresses) 0))) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "towline.notice" -}}
{{- $_ := set .root.Values "notices" (append .root.Values.notices .text) -}}
{{- end -}}

{{- define "towline.fault" -}}
{{- $_ := set .root.Values "faults" (append .root.Values.faults .text) -}}
{{- end -}}

{{- define "towline.initRunner" -}}
{{- $runner := .Values.credentials.runner -}}
{{- with .Values.config.token -}}
{{- if hasPrefix "glagent-" . -}}
{{- include "towline.fault" (dict "root" $ "text" "config.token is an agent's token (glagent-), which only the agent tunnel (KAS) honours, and that is not built yet: create a runner in GitLab (Settings > CI/CD > Runners) and give its glrt- token under credentials.runner") -}}
{{- else -}}
{{- $_ := set $runner "value" . -}}
{{- include "towline.notice" (dict "root" $ "text" "config.token is taken for credentials.runner.value") -}}
{{- end -}}
{{- end -}}
{{- with .Values.config.secretName -}}
{{- $_ := set $runner "existingSecret" . -}}
{{- $_ := set $runner "key" "token" -}}
{{- include "towline.notice" (dict "root" $ "text" "config.secretName is taken for credentials.runner.existingSecret, with key token; a runner's token (glrt-) has to be in it, not an agent's") -}}
{{- end -}}
{{- end -}}

{{- define "towline.initKas" -}}
{{- with .Values.config.kasAddress -}}
{{- $host := regexReplaceAll "^(?:wss?|grpcs?)://(?:kas\\.)?(gitlab\\.com)(?::443)?/?$|^wss?://([^/]+)/-/kubernetes-agent/?$" . "${1}${2}" -}}
{{- if $.Values.gitlab.url -}}
{{- include "towline.notice" (dict "root" $ "text" "config.kasAddress is not used: gitlab.url says where GitLab is") -}}
{{- else if eq $host . -}}
{{- include "towline.fault" (dict "root" $ "text" "config.kasAddress is an address that only the agent tunnel (KAS) honours, and that is not built yet: give GitLab's own address as gitlab.url") -}}
{{- else -}}
{{- $_ := set $.Values.gitlab "url" (printf "%s://%s" (ternary "http" "https" (or (hasPrefix "ws:" .) (hasPrefix "grpc:" .))) $host) -}}
{{- include "towline.notice" (dict "root" $ "text" (printf "config.kasAddress is taken for gitlab.url, as %s" $.Values.gitlab.url)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.config.kasCaCert | default .Values.config.caCert -}}
{{- $_ := set $.Values.gitlab.caBundle "value" . -}}
{{- include "towline.notice" (dict "root" $ "text" "config.kasCaCert is taken for gitlab.caBundle.value") -}}
{{- end -}}
{{- if .Values.config.kasHeaders -}}
{{- include "towline.fault" (dict "root" . "text" "config.kasHeaders are headers that only the agent tunnel (KAS) honours, and that is not built yet: remove them") -}}
{{- end -}}
{{- range list "api" "privateApi" -}}
{{- if hasKey $.Values.config . -}}
{{- include "towline.notice" (dict "root" $ "text" (printf "config.%s is not used: Towline never listens to the outside" .)) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.config "operational_container_scanning" -}}
{{- include "towline.notice" (dict "root" . "text" "config.operational_container_scanning is not used: Towline scans no images, and makes no account for that") -}}
{{- end -}}
{{- if dig "receptive" "enabled" false .Values.config -}}
{{- include "towline.fault" (dict "root" . "text" "config.receptive is what only the agent tunnel (KAS) honours, and Towline never listens to the outside: remove it") -}}
{{- end -}}
{{- end -}}

{{/* The chart's own part of config.observability; the rest is config.yaml's. */}}
{{- define "towline.initObservability" -}}
{{- with .Values.config.observability -}}
{{- if and (kindIs "map" .) (or (hasKey . "enabled") (hasKey . "tls")) -}}
{{- include "towline.notice" (dict "root" $ "text" "config.observability.enabled and .tls are not used: metrics are at the port http of each pod, for whom networkPolicy.metricsFrom names; see monitoring") -}}
{{- $rest := omit . "enabled" "tls" -}}
{{- $others := omit $.Values.config "observability" -}}
{{- $_ := set $.Values "config" (ternary (merge (dict "observability" $rest) $others) $others (gt (len $rest) 0)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "towline.initAccount" -}}
{{- $own := .Values.access.agentServiceAccount -}}
{{- $theirs := .Values.serviceAccount -}}
{{- if not (kindIs "invalid" $theirs.create) -}}
{{- $_ := set $own "create" $theirs.create -}}
{{- include "towline.notice" (dict "root" . "text" "serviceAccount.create is taken for access.agentServiceAccount.create") -}}
{{- end -}}
{{- with $theirs.name -}}
{{- $_ := set $own "name" . -}}
{{- include "towline.notice" (dict "root" $ "text" "serviceAccount.name is taken for access.agentServiceAccount.name: jobs with access_as: agent act as it") -}}
{{- end -}}
{{- with $theirs.annotations -}}
{{- $_ := set $own "annotations" . -}}
{{- include "towline.notice" (dict "root" $ "text" "serviceAccount.annotations are taken for access.agentServiceAccount.annotations") -}}
{{- end -}}
{{- $whole := eq .Values.access.mode "impersonate" -}}
{{- with .Values.rbac.useExistingRole -}}
{{- if eq . "cluster-admin" -}}
{{- include "towline.fault" (dict "root" $ "text" "rbac.useExistingRole is cluster-admin, which this chart gives to nobody: name a narrower ClusterRole, or bind namespaces with access.bindings") -}}
{{- else -}}
{{- $where := ternary "the whole cluster" (join ", " $.Values.access.namespaces) $whole -}}
{{- include "towline.notice" (dict "root" $ "text" (printf "rbac.useExistingRole gives the ClusterRole %s, in %s, to the ServiceAccount of jobs with access_as: agent" . $where)) -}}
{{- end -}}
{{- end -}}
{{- $needed := or (not $whole) (ne .Values.rbac.useExistingRole "") -}}
{{- if and $needed (kindIs "invalid" $own.create) -}}
{{- $_ := set $own "create" true -}}
{{- end -}}
{{- if and $needed (not $own.create) (not $own.name) -}}
{{- include "towline.fault" (dict "root" . "text" "access.agentServiceAccount.create is false, and name does not say which ServiceAccount jobs with access_as: agent act as: name one of the release's namespace") -}}
{{- end -}}
{{- $_ := set $own "allowed" (or $needed $own.create (ne $own.name "")) -}}
{{- end -}}

{{- define "towline.initRest" -}}
{{- with .Values.extraEnv -}}
{{- $_ := set $.Values.tunnel "extraEnv" (concat $.Values.tunnel.extraEnv .) -}}
{{- include "towline.notice" (dict "root" $ "text" "extraEnv is taken for tunnel.extraEnv; for proxies there is gitlab.proxy") -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.replicas) -}}
{{- $_ := set .Values.tunnel "replicas" .Values.replicas -}}
{{- include "towline.notice" (dict "root" . "text" "replicas is taken for tunnel.replicas") -}}
{{- end -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- $_ := set .Values.monitoring.monitor "kind" "ServiceMonitor" -}}
{{- $_ := set .Values.monitoring.monitor "render" "always" -}}
{{- include "towline.notice" (dict "root" . "text" "serviceMonitor.enabled is taken for monitoring.monitor, with kind ServiceMonitor and render always") -}}
{{- end -}}
{{- end -}}
