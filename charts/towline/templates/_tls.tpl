{{/* Certificates of the services among each other. */}}

{{/* The names a server is reached by: root, name. */}}
{{- define "towline.tlsNames" -}}
{{- $host := printf "%s-%s" (include "towline.fullname" .root) .name -}}
{{- $ns := .root.Release.Namespace -}}
{{- join "," (list (printf "%s.%s.svc" $host $ns) (printf "%s.%s.svc.cluster.local" $host $ns) (printf "%s.%s" $host $ns) $host "localhost") -}}
{{- end -}}

{{- define "towline.tlsServers" -}}
policy,tunnel{{ if eq .Values.redis.mode "embedded" }},redis{{ end }}
{{- end -}}

{{/* The Secret of one server: root, name. */}}
{{- define "towline.tlsSecret" -}}
{{- if eq .root.Values.tls.mode "existing" -}}
{{- get .root.Values.tls.existing .name -}}
{{- else -}}
{{- include "towline.fullname" .root }}-tls-{{ .name -}}
{{- end -}}
{{- end -}}

{{- define "towline.tlsVolume" -}}
{{- if ne .root.Values.tls.mode "off" -}}
- name: tls
  secret:
    secretName: {{ include "towline.tlsSecret" . }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
{{- end -}}
{{- end -}}

{{/* Whom a service trusts: one file for each server it talks to. */}}
{{- define "towline.trustFile" -}}
/etc/towline/trust/{{ . }}.crt
{{- end -}}

{{/* root, servers. All certificates of one release come from one authority,
     unless they are brought. */}}
{{- define "towline.trustVolume" -}}
{{- if ne .root.Values.tls.mode "off" -}}
- name: trust
  projected:
    defaultMode: 0444
    sources:
      {{- range .servers }}
      {{- if eq $.root.Values.tls.mode "chart" }}
      - configMap:
          name: {{ include "towline.fullname" $.root }}-ca
      {{- else }}
      - secret:
          name: {{ include "towline.tlsSecret" (dict "root" $.root "name" .) }}
      {{- end }}
          items:
            - {key: ca.crt, path: {{ . }}.crt}
      {{- end }}
{{- end -}}
{{- end -}}

{{/* One authority and the certificates it has issued, as YAML, made once for all
     templates. What is in the cluster is kept while it is young enough.

     The services trust three authorities at any time: the one before, the one in
     use and the next. Changing it is to go one step on, and nobody meets a
     stranger. */}}
{{- define "towline.tlsMade" -}}
{{- $v := .Values -}}
{{- if not (hasKey $v "tlsMade") -}}
{{- $name := include "towline.fullname" . -}}
{{- $known := (lookup "v1" "Secret" .Release.Namespace (printf "%s-ca" $name)) | default dict -}}
{{- $data := $known.data | default dict -}}
{{- $generation := toString (int $v.tls.generation) -}}
{{- $previous := get $data "previous.crt" -}}
{{- $current := dict -}}
{{- $next := dict -}}
{{- if and (get $data "tls.crt") (get $data "next.crt") -}}
{{- $current = dict "crt" (get $data "tls.crt") "key" (get $data "tls.key") -}}
{{- $next = dict "crt" (get $data "next.crt") "key" (get $data "next.key") -}}
{{- if ne (dig "metadata" "annotations" "towline/generation" $generation $known) $generation -}}
{{- $previous = $current.crt -}}
{{- $current = $next -}}
{{- $next = include "towline.tlsAuthority" . | fromYaml -}}
{{- end -}}
{{- else -}}
{{- $current = include "towline.tlsAuthority" . | fromYaml -}}
{{- $next = include "towline.tlsAuthority" . | fromYaml -}}
{{- end -}}
{{- $bundle := list (b64dec $current.crt) (b64dec $next.crt) -}}
{{- with $previous }}{{ $bundle = append $bundle (b64dec .) }}{{ end -}}
{{- $leaves := dict -}}
{{- range splitList "," (include "towline.tlsServers" .) -}}
{{- $_ := set $leaves . (include "towline.tlsLeaf" (dict "root" $ "name" . "authority" $current "generation" $generation) | fromYaml) -}}
{{- end -}}
{{- $_ := set $v "tlsMade" (dict "current" $current "next" $next "previous" $previous "bundle" (join "" $bundle) "leaves" $leaves) -}}
{{- end -}}
{{- end -}}

{{- define "towline.tlsAuthority" -}}
{{- $ca := genCAWithKey (include "towline.fullname" .) 3650 (genPrivateKey "ecdsa") -}}
crt: {{ b64enc $ca.Cert }}
key: {{ b64enc $ca.Key }}
{{- end -}}

{{- define "towline.tlsLeaf" -}}
{{- $root := .root -}}
{{- $names := concat (list) (splitList "," (include "towline.tlsNames" .)) -}}
{{- $known := (lookup "v1" "Secret" $root.Release.Namespace (include "towline.tlsSecret" .)) | default dict -}}
{{- $marks := dig "metadata" "annotations" dict $known -}}
{{- $made := get $marks "towline/made-at" | default "0" | int64 -}}
{{- $now := now | unixEpoch | int64 -}}
{{- $days := int64 $root.Values.tls.renewAfterDays -}}
{{- $old := and (gt $days 0) (gt (sub $now $made) (mul $days 86400)) -}}
{{- if and (dig "data" "tls.crt" "" $known) (eq (get $marks "towline/generation") .generation) (not $old) -}}
made: {{ $made | quote }}
crt: {{ get $known.data "tls.crt" }}
key: {{ get $known.data "tls.key" }}
{{- else -}}
{{- $ca := buildCustomCert .authority.crt .authority.key -}}
{{- $cert := genSignedCertWithKey (first $names) (list "127.0.0.1") $names 3650 $ca (genPrivateKey "ecdsa") -}}
made: {{ $now | quote }}
crt: {{ b64enc $cert.Cert }}
key: {{ b64enc $cert.Key }}
{{- end -}}
{{- end -}}
