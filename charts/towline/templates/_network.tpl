{{/* Egress rules of the NetworkPolicies. */}}

{{/* Name servers are pods of the cluster, or node-local ones with a link-local
     address; some listen on 5353. */}}
{{- define "towline.allowDNS" -}}
- to:
    - namespaceSelector: {}
    - ipBlock: {cidr: 169.254.0.0/16}
  ports:
    {{- range $port := list 53 5353 }}
    {{- range $protocol := list "UDP" "TCP" }}
    - {protocol: {{ $protocol }}, port: {{ $port }}}
    {{- end }}
    {{- end }}
{{- end -}}

{{- define "towline.allowPolicy" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "towline.selector" (dict "root" . "name" "policy") | nindent 10 }}
  ports:
    - {protocol: TCP, port: http}
{{- end -}}

{{- define "towline.allowRedis" -}}
{{- if eq .Values.redis.mode "embedded" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "towline.selector" (dict "root" . "name" "redis") | nindent 10 }}
  ports:
    - {protocol: TCP, port: redis}
{{- else -}}
{{- $ports := list -}}
{{- range .Values.redis.external.addresses -}}
{{- $ports = append $ports (regexReplaceAll "^.*:" . "" | int) -}}
{{- end -}}
{{- range .Values.networkPolicy.redis.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- with .Values.redis.external.url -}}
{{- /* What follows the host, and Redis' own port where nothing does. */ -}}
{{- $port := regexReplaceAll "^rediss?://(?:[^@/]*@)?(?:\\[[^]]*\\]|[^:/?]*):?([0-9]*).*$" . "${1}" | default "6379" -}}
{{- $ports = append $ports (int $port) -}}
{{- end -}}
- to:
    - namespaceSelector: {}
    {{- range .Values.networkPolicy.redis.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* NetworkPolicies apply before or after a Service's address is translated,
     depending on the network: both addresses are allowed. */}}
{{- define "towline.allowAPIServer" -}}
{{- $given := .Values.networkPolicy.apiServer -}}
{{- $ports := list -}}
{{- range $given.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- $addresses := list -}}
{{- with lookup "discovery.k8s.io/v1" "EndpointSlice" "default" "kubernetes" -}}
{{- range .endpoints }}{{ $addresses = concat $addresses .addresses }}{{ end -}}
{{- range .ports }}{{ $ports = append $ports (int .port) }}{{ end -}}
{{- with lookup "v1" "Service" "default" "kubernetes" -}}
{{- $addresses = concat $addresses .spec.clusterIPs -}}
{{- end -}}
{{- end -}}
{{- $cidrs := $given.cidrs -}}
{{- if not $cidrs -}}
{{- range $addresses | uniq -}}
{{- $cidrs = append $cidrs (printf "%s/%d" . (ternary 128 32 (contains ":" .))) -}}
{{- end -}}
{{- end -}}
{{- if not $cidrs -}}
{{- $cidrs = list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "100.64.0.0/10" "fc00::/7" -}}
{{- end -}}
- to:
    {{- range $cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}

{{/* The port of gitlab.url. */}}
{{- define "towline.gitlabPort" -}}
{{- $default := ternary "80" "443" (hasPrefix "http://" .Values.gitlab.url) -}}
{{- regexReplaceAll "^https?://(?:[^@/]*@)?(?:\\[[^]]*\\]|[^:/?]*):?([0-9]*).*$" .Values.gitlab.url "${1}" | default $default -}}
{{- end -}}

{{/* The way to GitLab, or to the proxy on the way there, whose addresses nobody
     promises: any, unless they are given. */}}
{{- define "towline.allowGitLab" -}}
{{- $ports := list (include "towline.gitlabPort" . | int) -}}
{{- with .Values.gitlab.proxy.https -}}
{{- $default := ternary "443" "80" (hasPrefix "https://" .) -}}
{{- $ports = append $ports (regexReplaceAll "^https?://(?:[^@/]*@)?(?:\\[[^]]*\\]|[^:/?]*):?([0-9]*).*$" . "${1}" | default $default | int) -}}
{{- end -}}
{{- if .Values.gitlab.proxy.existingSecret -}}
{{- $ports = concat $ports (list 3128 8080) -}}
{{- end -}}
- ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .Values.networkPolicy.gitlab.cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* Who may read metrics, at the port http. */}}
{{- define "towline.allowMetrics" -}}
{{- with .Values.networkPolicy.metricsFrom -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - {protocol: TCP, port: http}
{{- end -}}
{{- end -}}

{{/* The pods of some services as peers: root, names. */}}
{{- define "towline.peers" -}}
{{- range .names }}
- podSelector:
    matchLabels:
      {{- include "towline.selector" (dict "root" $.root "name" .) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Where audit records are posted to: pods, and the addresses that are given. */}}
{{- define "towline.allowAudit" -}}
{{- $default := ternary "80" "443" (hasPrefix "http://" .Values.audit.webhook.url) -}}
- to:
    - namespaceSelector: {}
    {{- range .Values.audit.webhook.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ regexReplaceAll "^https?://(?:[^@/]*@)?(?:\\[[^]]*\\]|[^:/?]*):?([0-9]*).*$" .Values.audit.webhook.url "${1}" | default $default }}}
{{- end -}}
