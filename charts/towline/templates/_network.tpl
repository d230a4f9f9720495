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
{{- $ports = append $ports (include "towline.port" . | int) -}}
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

{{/* The port of an address, or its scheme's. */}}
{{- define "towline.port" -}}
{{- $default := get (dict "https" "443" "redis" "6379" "rediss" "6379" "socks5" "1080") (regexFind "^[a-z0-9]+:" . | trimSuffix ":") | default "80" -}}
{{- regexReplaceAll "^(?:[a-z0-9]+://)?(?:[^@/]*@)?(?:\\[[^]]*\\]|[^:/?]*):?([0-9]*).*$" . "${1}" | default $default -}}
{{- end -}}

{{/* The way to GitLab, or to the proxy on the way there, whose addresses nobody
     promises: any, unless they are given. */}}
{{- define "towline.allowGitLab" -}}
{{- $given := .Values.networkPolicy.gitlab -}}
{{- $ports := list (include "towline.port" .Values.gitlab.url | int) -}}
{{- with .Values.gitlab.proxy.https -}}
{{- $ports = append $ports (include "towline.port" . | int) -}}
{{- end -}}
{{- $hidden := ne .Values.gitlab.proxy.existingSecret "" -}}
{{- range include "towline.proxyEnv" . | fromYamlArray -}}
{{- if .value -}}
{{- $ports = append $ports (include "towline.port" .value | int) -}}
{{- else -}}
{{- $hidden = true -}}
{{- end -}}
{{- end -}}
{{- if and $hidden (not $given.ports) -}}
{{- $ports = concat $ports (list 3128 8080) -}}
{{- end -}}
{{- range $given.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
- ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with $given.cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* The way to tunnel.egressHosts, of which only names are known. */}}
{{- define "towline.allowHosts" -}}
{{- $ports := list -}}
{{- range include "towline.egressHosts" . | fromYamlArray }}{{ $ports = append $ports (regexReplaceAll "^.*:" . "" | int) }}{{ end -}}
{{- with $ports | uniq -}}
- ports:
    {{- range . }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}
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
{{- $given := .Values.audit.webhook -}}
{{- $ports := list (include "towline.port" $given.url | int) -}}
{{- range $given.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
- to:
    - namespaceSelector: {}
    {{- range $given.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}
