{{- define "culprit.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}

{{- define "culprit.labels" -}}
app.kubernetes.io/name: culprit
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "culprit.selector" -}}
app.kubernetes.io/name: culprit
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* culprit.yaml: what the chart has to set, over what the values say; and below them where people reach it, which links in alerts begin with. */}}
{{- define "culprit.config" -}}
{{- $ingress := .Values.api.ingress -}}
{{- $default := dict -}}
{{- if $ingress.enabled -}}{{- $_ := set $default "public_url" (printf "%s://%s" (ternary "https" "http" (not (empty $ingress.tlsSecret))) $ingress.host) -}}{{- end -}}
{{- $set := dict "host" "0.0.0.0" "port" 4318 "operations" (dict "host" "0.0.0.0" "port" (int .Values.operationsPort) "drain_wait_s" (int .Values.drainWaitSeconds)) -}}
{{- if .Values.existingSecret -}}
{{- if .Values.secretKeys.passwordKey -}}{{- $_ := set $set "clickhouse" (dict "password_file" (printf "/run/secrets/culprit/%s" .Values.secretKeys.passwordKey)) -}}{{- end -}}
{{- if .Values.secretKeys.saslKey -}}{{- $_ := set $set "kafka" (dict "sasl" (dict "password_file" (printf "/run/secrets/culprit/%s" .Values.secretKeys.saslKey))) -}}{{- end -}}
{{- if .Values.secretKeys.accessKey -}}{{- $_ := set $set "access" (dict "key_file" (printf "/run/secrets/culprit/%s" .Values.secretKeys.accessKey)) -}}{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $default (deepCopy .Values.config) $set) -}}
{{- end -}}
