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

{{/* culprit.yaml: what the chart has to set, over what the values say. */}}
{{- define "culprit.config" -}}
{{- $set := dict "host" "0.0.0.0" "port" 4318 "operations" (dict "host" "0.0.0.0" "port" (int .Values.operationsPort) "drain_wait_s" (int .Values.drainWaitSeconds)) -}}
{{- if .Values.secretKeys.passwordKey -}}{{- $_ := set $set "clickhouse" (dict "password_file" (printf "/run/secrets/culprit/%s" .Values.secretKeys.passwordKey)) -}}{{- end -}}
{{- if .Values.secretKeys.saslKey -}}{{- $_ := set $set "kafka" (dict "sasl" (dict "password_file" (printf "/run/secrets/culprit/%s" .Values.secretKeys.saslKey))) -}}{{- end -}}
{{- if .Values.secretKeys.accessKey -}}{{- $_ := set $set "access" (dict "key_file" (printf "/run/secrets/culprit/%s" .Values.secretKeys.accessKey)) -}}{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $set) -}}
{{- end -}}
