{{/* Caches of jobs: on a volume, or in an S3-compatible store, which is reached
     through the tunnel. */}}
{{- define "towline.hasCache" -}}
{{- if or .Values.runner.cache.volume .Values.runner.cache.s3.endpoint }}true{{ end -}}
{{- end -}}

{{/* Options of the runner. */}}
{{- define "towline.cacheArgs" -}}
{{- $cache := .Values.runner.cache -}}
{{- if $cache.volume -}}
- --cache-dir=/var/cache/towline
- --cache-max-age={{ $cache.maxAge }}
- --cache-max-size={{ int64 $cache.maxSize }}
{{- else if $cache.s3.endpoint -}}
- --cache-s3-endpoint={{ $cache.s3.endpoint }}
- --cache-s3-bucket={{ $cache.s3.bucket }}
- --cache-s3-region={{ $cache.s3.region }}
- --cache-s3-path-style={{ $cache.s3.pathStyle }}
- --cache-s3-access-key-file=/etc/towline/cache/access-key
- --cache-s3-secret-key-file=/etc/towline/cache/secret-key
{{- end -}}
{{- end -}}

{{- define "towline.cacheMounts" -}}
{{- if .Values.runner.cache.volume -}}
- {name: cache, mountPath: /var/cache/towline}
{{- else if .Values.runner.cache.s3.endpoint -}}
- {name: cache, mountPath: /etc/towline/cache, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "towline.cacheVolume" -}}
{{- $cache := .Values.runner.cache -}}
{{- if $cache.volume -}}
- name: cache
  {{- toYaml $cache.volume | nindent 2 }}
{{- else if $cache.s3.endpoint -}}
- name: cache
  secret:
    secretName: {{ $cache.s3.existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ $cache.s3.accessKey | quote }}, path: access-key}
      - {key: {{ $cache.s3.secretKey | quote }}, path: secret-key}
{{- end -}}
{{- end -}}

{{/* Hosts that are reached through the tunnel beside GitLab: those that are given
     and the store's, as YAML. */}}
{{- define "towline.egressHosts" -}}
{{- $hosts := .Values.tunnel.egressHosts -}}
{{- with .Values.runner.cache.s3 -}}
{{- if .endpoint -}}
{{- $host := regexReplaceAll "^https?://([^/]*).*$" .endpoint "${1}" | splitList ":" | first -}}
{{- $hosts = append $hosts (printf "%s%s:%s" (ternary "" (printf "%s." .bucket) .pathStyle) $host (include "towline.port" .endpoint)) | uniq -}}
{{- end -}}
{{- end -}}
{{- toYaml $hosts -}}
{{- end -}}

{{- define "towline.validateCache" -}}
{{- $faults := list -}}
{{- with .Values.runner.cache -}}
{{- if .s3.endpoint -}}
{{- if .volume -}}
{{- $faults = append $faults "runner.cache has both volume and s3: leave one of them empty" -}}
{{- end -}}
{{- if not .s3.bucket -}}
{{- $faults = append $faults "runner.cache.s3.bucket is missing: name the bucket for caches" -}}
{{- end -}}
{{- if not .s3.existingSecret -}}
{{- $faults = append $faults "runner.cache.s3.existingSecret is missing: put the store's keys into a Secret (access-key, secret-key) and name that" -}}
{{- end -}}
{{- else if or .s3.bucket .s3.existingSecret -}}
{{- $faults = append $faults "runner.cache.s3.endpoint is missing: give the store's address, for example https://s3.example.com" -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Values "faults" (concat .Values.faults $faults) -}}
{{- end -}}
