{{- define "app.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
tier: {{ .Values.labels.tier }}
{{- end }}
