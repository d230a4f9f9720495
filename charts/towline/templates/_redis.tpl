{{/* How the services reach Redis. */}}

{{- define "towline.redisHost" -}}
{{ include "towline.fullname" . }}-redis.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* The Secret with passwords of the embedded Redis. */}}
{{- define "towline.redisSecret" -}}
{{- .Values.redis.embedded.existingSecret | default (printf "%s-redis" (include "towline.fullname" .)) -}}
{{- end -}}

{{/* Options: root, name. */}}
{{- define "towline.redisArgs" -}}
{{- $v := .root.Values -}}
{{- $ext := $v.redis.external -}}
- --redis-prefix={{ $v.redis.prefix }}
{{- if eq $v.redis.mode "embedded" }}
- --redis-addresses={{ include "towline.redisHost" .root }}:6379
- --redis-username={{ .name }}
- --redis-password-file=/etc/towline/redis/password
{{- if ne $v.tls.mode "off" }}
- --redis-tls=true
- --redis-ca-file={{ include "towline.trustFile" "redis" }}
{{- end }}
{{- else }}
{{- with $ext.addresses }}
- --redis-addresses={{ join "," . }}
{{- end }}
{{- if $ext.cluster }}
- --redis-cluster=true
{{- end }}
{{- with $ext.sentinel.master }}
- --redis-sentinel-master={{ . }}
{{- end }}
{{- with $ext.sentinel.username }}
- --redis-sentinel-username={{ . }}
{{- end }}
{{- if $ext.sentinel.existingSecret }}
- --redis-sentinel-password-file=/etc/towline/redis/sentinel-password
{{- end }}
{{- with $ext.username }}
- --redis-username={{ . }}
{{- end }}
{{- if or $ext.password.existingSecret $ext.password.value }}
- --redis-password-file=/etc/towline/redis/password
{{- end }}
{{- with $ext.database }}
- --redis-database={{ int . }}
{{- end }}
{{- if $ext.tls.enabled }}
- --redis-tls=true
{{- end }}
{{- if include "towline.hasRedisCA" .root }}
- --redis-ca-file=/etc/towline/redis-ca/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{- define "towline.hasRedisCA" -}}
{{- with .Values.redis.external.tls.caBundle -}}
{{- if or .existingConfigMap .existingSecret }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* The address, where it is one with a password in it. */}}
{{- define "towline.redisEnv" -}}
{{- $ext := .Values.redis.external -}}
{{- if and (eq .Values.redis.mode "external") (not $ext.addresses) -}}
- name: TOWLINE_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $ext.existingSecret | default (printf "%s-redis" (include "towline.fullname" .)) }}
      key: {{ ternary $ext.key "url" (ne $ext.existingSecret "") }}
{{- end -}}
{{- end -}}

{{/* What restarts pods: another address given as a value. */}}
{{- define "towline.redisChecksum" -}}
{{ with .Values.redis.external.url -}}
checksum/redis: {{ printf "%s/%s/%s" $.Release.Namespace $.Release.Name . | sha256sum }}
{{- end -}}
{{- end -}}

{{/* Files with passwords: root, name. Empty where there are none. */}}
{{- define "towline.redisVolumes" -}}
{{- $v := .root.Values -}}
{{- $ext := $v.redis.external -}}
{{- $own := printf "%s-redis" (include "towline.fullname" .root) -}}
{{- $sources := list -}}
{{- if eq $v.redis.mode "embedded" -}}
{{- $sources = append $sources (dict "secret" (include "towline.redisSecret" .root) "key" (printf "%s-password" .name) "file" "password") -}}
{{- else -}}
{{- with $ext.password -}}
{{- if .existingSecret -}}
{{- $sources = append $sources (dict "secret" .existingSecret "key" .key "file" "password") -}}
{{- else if .value -}}
{{- $sources = append $sources (dict "secret" $own "key" "password" "file" "password") -}}
{{- end -}}
{{- end -}}
{{- with $ext.sentinel -}}
{{- if .existingSecret -}}
{{- $sources = append $sources (dict "secret" .existingSecret "key" .key "file" "sentinel-password") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $sources -}}
- name: redis
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - secret:
          name: {{ .secret }}
          items:
            - {key: {{ .key | quote }}, path: {{ .file }}}
      {{- end }}
{{- end }}
{{- if and (eq $v.redis.mode "external") (include "towline.hasRedisCA" .root) }}
- name: redis-ca
  {{- with $ext.tls.caBundle }}
  {{- if .existingSecret }}
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ .existingConfigMap }}
  {{- end }}
    items:
      - {key: {{ .key | quote }}, path: ca.crt}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "towline.redisMounts" -}}
{{- $volumes := include "towline.redisVolumes" . | fromYamlArray -}}
{{- range $volumes }}
- {name: {{ .name }}, mountPath: /etc/towline/{{ .name }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* What a user of the embedded Redis may do: root, name. The keys are those of
     pkg/ledger's table; pings, scripts and transactions are everybody's. */}}
{{- define "towline.redisRules" -}}
{{- $p := .root.Values.redis.prefix -}}
{{- $job := printf "%s:{[0-9]*}" $p -}}
{{- $jobs := printf "~%s ~%s:payload ~%s:trace ~%s:owner ~%s:lease" $job $job $job $job $job -}}
{{- $tickets := printf "~%s:{tickets} ~%s:{tickets}:bell ~%s:{tickets}:held:?*" $p $p $p -}}
{{- $sync := printf "%s:{sync:*}" $p -}}
{{- $syncs := printf "~%s:syncs ~%s ~%s:task ~%s:lease" $p $sync $sync $sync -}}
{{- $bundle := printf "%s:{bundle:*}" $p -}}
{{- $link := "-@all +ping +hello +auth +multi +exec +discard +eval +evalsha +script|load +exists +get +set +del +time +pexpire +pttl +hget +hset +hmget +hdel +strlen +append +zadd +zrem +zrange +zrevrange +zremrangebyscore +zcard +rpush +llen +lpos +blpop +publish +hincrby" -}}
{{- if eq .name "tunnel" -}}
resetchannels &{{ $p }}:wake &{{ $p }}:synced &{{ $p }}:wished {{ $jobs }} {{ $syncs }} ~{{ $sync }}:view ~{{ $sync }}:follow ~{{ $bundle }} ~{{ $bundle }}:* {{ $tickets }} ~{{ $p }}:{tickets}:held: ~{{ $p }}:queue ~{{ $p }}:jobs ~{{ $p }}:{poll} ~{{ $p }}:{poll}:cursor %R~{{ $p }}:revoked:* {{ $link }} +getrange +subscribe +unsubscribe
{{- else if eq .name "runner" -}}
resetchannels &{{ $p }}:wake &{{ $p }}:synced &{{ $p }}:wished {{ $jobs }} {{ $syncs }} %R~{{ $sync }}:view %R~{{ $bundle }} %R~{{ $bundle }}:* {{ $tickets }} ~{{ $p }}:queue ~{{ $p }}:jobs ~{{ $p }}:revoked:* ~{{ $p }}:audit {{ $link }} +lpop +xadd
{{- else -}}
resetchannels ~{{ $p }}:queue -@all +ping +hello +auth +llen +type +eval +evalsha +script|load
{{- end -}}
{{- end -}}
