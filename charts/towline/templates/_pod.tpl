{{/* A service's pod template up to its containers: root, name, api, annotations.
     api says whether the pod calls the Kubernetes API; only then it gets a token. */}}
{{- define "towline.pod" -}}
{{- $own := get .root.Values .name -}}
metadata:
  {{- /* The selector's labels win: with others the pods would not be found. */}}
  labels:
    {{- merge (include "towline.selector" . | fromYaml) $own.podLabels | toYaml | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "towline.fullname" .root }}-{{ .name }}
  automountServiceAccountToken: {{ .api }}
  # Variables named after Services could be mistaken for settings.
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
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
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 20
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 3
{{- end -}}

{{/* Arguments that all services have. */}}
{{- define "towline.logArgs" -}}
- --log-format={{ .Values.log.format }}
- --log-level={{ .Values.log.level }}
{{- end -}}

{{/* Redis: an argument, the address from its Secret, and what restarts pods when
     an address given as a value changes. */}}
{{- define "towline.redisEnv" -}}
{{- $redis := .Values.redis.external -}}
- name: TOWLINE_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $redis.existingSecret | default (printf "%s-redis" (include "towline.fullname" .)) }}
      key: {{ ternary $redis.key "url" (ne $redis.existingSecret "") }}
{{- end -}}

{{- define "towline.redisChecksum" -}}
{{- with .Values.redis.external.url -}}
checksum/redis: {{ printf "%s/%s/%s" $.Release.Namespace $.Release.Name . | sha256sum }}
{{- end -}}
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
    name: {{ .existingConfigMap }}
    items:
      - {key: {{ .key | quote }}, path: ca.crt}
{{- end -}}
{{- end -}}

{{/* Whether there is a token for the configuration project: "true" or "". */}}
{{- define "towline.hasConfigToken" -}}
{{- if or .Values.credentials.config.existingSecret .Values.credentials.config.value }}true{{ end -}}
{{- end -}}
