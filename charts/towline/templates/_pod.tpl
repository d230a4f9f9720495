{{/* A service's pod template up to its containers: root, name, api, annotations.
     api says whether the pod calls the Kubernetes API; only then it gets a token. */}}
{{- define "towline.pod" -}}
{{- $own := get .root.Values .name -}}
metadata:
  {{- /* The selector's labels win: with others the pods would not be found. */}}
  labels:
    {{- merge (include "towline.selector" . | fromYaml) $own.podLabels | toYaml | nindent 4 }}
  {{- with merge (.annotations | default dict) $own.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "towline.fullname" .root }}-{{ .name }}
  automountServiceAccountToken: {{ .api }}
  # Variables named after Services could be mistaken for settings.
  enableServiceLinks: false
  securityContext:
    {{- include "towline.podSecurity" .root | nindent 4 }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- with $own.topologySpreadConstraints }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "towline.selector" $ | nindent 10 }}
    {{- end }}
    {{- end }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* As whom all pods run, which Pod Security "restricted" accepts. */}}
{{- define "towline.podSecurity" -}}
runAsNonRoot: true
{{- if eq .Values.podUser "fixed" }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What all containers share: root, name. */}}
{{- define "towline.container" -}}
{{- $own := get .root.Values .name -}}
name: {{ .name }}
image: {{ include "towline.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  readOnlyRootFilesystem: true
  runAsNonRoot: true
{{- with $own.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
# An outage of GitLab or Redis makes a pod unready and restarts nothing.
{{- $scheme := ternary "HTTPS" "HTTP" (and (eq .name "policy") (ne .root.Values.tls.mode "off")) }}
startupProbe:
  httpGet: {path: /livez, port: http, scheme: {{ $scheme }}}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: http, scheme: {{ $scheme }}}
  periodSeconds: 20
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 3
{{- end -}}

{{/* Arguments that all services have. */}}
{{- define "towline.logArgs" -}}
- --log-format={{ .Values.log.format }}
- --log-level={{ .Values.log.level }}
{{- end -}}

{{/* A volume with one key of a Secret as the file "file": volume, file, secret, key. */}}
{{- define "towline.secretVolume" -}}
- name: {{ .volume }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - {key: {{ .key | quote }}, path: {{ .file }}}
{{- end -}}

{{- define "towline.sealVolume" -}}
{{- $seal := .Values.credentials.seal -}}
{{- $own := printf "%s-seal" (include "towline.fullname" .) -}}
{{- include "towline.secretVolume" (dict "volume" "seal" "file" "seal.key" "secret" ($seal.existingSecret | default $own) "key" (ternary $seal.key "seal.key" (ne $seal.existingSecret ""))) -}}
{{- end -}}

{{- define "towline.caVolume" -}}
{{- with .Values.gitlab.caBundle -}}
- name: gitlab-ca
  configMap:
    name: {{ .existingConfigMap | default (printf "%s-gitlab-ca" (include "towline.fullname" $)) }}
    items:
      - {key: {{ ternary .key "ca.crt" (ne .existingConfigMap "") | quote }}, path: ca.crt}
{{- end -}}
{{- end -}}

{{/* Whether there are certificates to trust for GitLab: "true" or "". */}}
{{- define "towline.hasGitLabCA" -}}
{{- if or .Values.gitlab.caBundle.existingConfigMap .Values.gitlab.caBundle.value }}true{{ end -}}
{{- end -}}

{{/* Whether there is a token for the configuration project: "true" or "". */}}
{{- define "towline.hasConfigToken" -}}
{{- if or .Values.credentials.config.existingSecret .Values.credentials.config.value }}true{{ end -}}
{{- end -}}

{{/* Variables of a service: root, name. */}}
{{- define "towline.env" -}}
{{- include "towline.redisEnv" .root }}
{{- with (get .root.Values .name).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Those of the tunnel's variables that name a proxy, as a list. */}}
{{- define "towline.proxyEnv" -}}
{{- $found := list -}}
{{- range .Values.tunnel.extraEnv -}}
{{- if has (upper .name) (list "HTTPS_PROXY" "HTTP_PROXY") }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* The tunnel's, with the way through a proxy. What is inside the cluster is
     reached without it. */}}
{{- define "towline.tunnelEnv" -}}
{{- include "towline.env" (dict "root" . "name" "tunnel") }}
{{- with .Values.gitlab.proxy }}
{{- if or .https .existingSecret }}
{{- range list "HTTPS_PROXY" "HTTP_PROXY" }}
- name: {{ . }}
  {{- with $.Values.gitlab.proxy }}
  {{- if .existingSecret }}
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}
  {{- else }}
  value: {{ .https | quote }}
  {{- end }}
  {{- end }}
{{- end }}
- name: NO_PROXY
  value: {{ concat (list "localhost" "127.0.0.1" ".svc" ".cluster.local") .noProxy | join "," | quote }}
{{- end }}
{{- end }}
{{- end -}}
