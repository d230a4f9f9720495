{{- define "towline.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{/* Names. The release's name alone when it says what this is. Redis' StatefulSet
     leaves least room: Kubernetes makes a label of its name and 11 characters. */}}
{{- define "towline.fullname" -}}
{{- $name := include "towline.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Names of what belongs to no namespace, so that two releases never meet. */}}
{{- define "towline.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "towline.fullname" .) -}}
{{- end -}}

{{/* Selectors cannot be changed later: nothing in here may vary with versions. */}}
{{- define "towline.selector" -}}
app.kubernetes.io/name: {{ include "towline.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "towline.labels" -}}
app.kubernetes.io/name: {{ include "towline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: towline
{{- with .Values.commonLabels }}
{{ omit . "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" | toYaml }}
{{- end }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* metadata of an object of one service: root, name. */}}
{{- define "towline.metadata" -}}
name: {{ include "towline.fullname" .root }}-{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "towline.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{/* The image of one service: root, name. */}}
{{- define "towline.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := get .root.Values .name -}}
{{- $digest := get $image.digest .name -}}
{{- if $own.image -}}
{{- $own.image -}}
{{- else -}}
{{- with $image.registry }}{{ . }}/{{ end -}}
{{- with $image.repository }}{{ . }}/{{ end -}}
{{- .name -}}:{{- $image.tag | default .root.Chart.AppVersion -}}
{{- with $digest }}@{{ . }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* A span of time like 90s, 5m or 1h in seconds. */}}
{{- define "towline.seconds" -}}
{{- $unit := dict "s" 1 "m" 60 "h" 3600 -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $unit (regexFind "[smh]$" .)) -}}
{{- end -}}

{{/* A quantity like 512Mi, 5G or 1e9 as a number. */}}
{{- define "towline.bytes" -}}
{{- $units := dict "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $text := toString . -}}
{{- mulf (regexFind "^[0-9.]+([eE][+-]?[0-9]+)?" $text | float64) (get $units (regexFind "[a-zA-Z]+$" $text) | default 1.0) -}}
{{- end -}}

{{/* What the files of all jobs and syncs of a runner may take, in bytes. */}}
{{- define "towline.scratchNeed" -}}
{{- mul (add .Values.jobs.concurrent (ternary .Values.gitops.concurrent 0 .Values.gitops.enabled)) (int64 .Values.jobs.limits.scratch) -}}
{{- end -}}

{{/* Addresses of the services. */}}
{{- define "towline.policyURL" -}}
{{ ternary "http" "https" (eq .Values.tls.mode "off") }}://{{ include "towline.fullname" . }}-policy.{{ .Release.Namespace }}.svc:8081
{{- end -}}

{{- define "towline.egressAddress" -}}
{{ include "towline.fullname" . }}-tunnel.{{ .Release.Namespace }}.svc:8082
{{- end -}}

{{- define "towline.redisImage" -}}
{{- $image := .Values.redis.embedded.image -}}
{{- with .Values.image.registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- $pinned := splitList "@" $image.tag -}}
{{- with first $pinned }}:{{ . }}{{ end -}}
{{- with $image.digest | default (rest $pinned | first) }}@{{ . }}{{ end -}}
{{- end -}}

{{/* All images, for mirrors and for who looks what a release needs. */}}
{{- define "towline.imageList" -}}
{{- $all := list -}}
{{- range list "tunnel" "policy" "runner" -}}
{{- $all = append $all (include "towline.image" (dict "root" $ "name" .)) -}}
{{- end -}}
{{- if eq .Values.redis.mode "embedded" -}}
{{- $all = append $all (include "towline.redisImage" .) -}}
{{- end -}}
{{- join "," $all -}}
{{- end -}}

{{- define "towline.agentAccount" -}}
{{- .Values.access.agentServiceAccount.name | default (printf "%s-agent" (include "towline.fullname" .)) -}}
{{- end -}}

{{/* Whether objects of a kind are rendered: root, mode, kind (group/version/Kind). */}}
{{- define "towline.renders" -}}
{{- if or (eq .mode "always") (and (eq .mode "ifCRDPresent") (.root.Capabilities.APIVersions.Has .kind)) -}}true{{- end -}}
{{- end -}}

{{/* The group that a binding is for, or nothing. */}}
{{- define "towline.boundGroup" -}}
{{- if .groupName -}}
{{- .groupName -}}
{{- else if and .project .environment -}}
{{- printf "gitlab:project_env:%d:%s" (int64 .project) .environment -}}
{{- else if and .project .tier -}}
{{- printf "gitlab:project_env_tier:%d:%s" (int64 .project) .tier -}}
{{- else if .project -}}
{{- printf "gitlab:project:%d" (int64 .project) -}}
{{- else if and .group .tier -}}
{{- printf "gitlab:group_env_tier:%d:%s" (int64 .group) .tier -}}
{{- else if .group -}}
{{- printf "gitlab:group:%d" (int64 .group) -}}
{{- end -}}
{{- end -}}

{{/* With access.exactNames: whom the runner may impersonate, and what policy lets
     jobs be, which has to be the same. */}}
{{- define "towline.jobUsers" -}}
{{- $all := concat (list "gitlab:ci_job:any") .Values.access.impersonate.users -}}
{{- range .Values.access.bindings }}{{ with .user }}{{ $all = append $all . }}{{ end }}{{ end -}}
{{- $all | uniq | toYaml -}}
{{- end -}}

{{- define "towline.jobGroups" -}}
{{- $all := concat (list "gitlab:ci_job") .Values.access.impersonate.groups -}}
{{- range .Values.access.bindings }}{{ with include "towline.boundGroup" . }}{{ $all = append $all . }}{{ end }}{{ end -}}
{{- $all | uniq | toYaml -}}
{{- end -}}
