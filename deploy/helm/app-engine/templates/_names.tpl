{{/* What things are called. */}}

{{- define "app-engine.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}{{- $name = printf "%s-%s" $name .Chart.Name -}}{{- end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "app-engine.registry-name" -}}
{{ include "app-engine.name" . }}-registry
{{- end -}}

{{- define "app-engine.account" -}}
{{ .Values.accountName | default (include "app-engine.name" .) }}
{{- end -}}

{{- define "app-engine.tasks-namespace" -}}
{{ .Values.tasks.namespace | default (printf "%s-tasks" .Release.Namespace) }}
{{- end -}}

{{/* Of an object: {root, component}. */}}
{{- define "app-engine.labels" -}}
{{ include "app-engine.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "app-engine.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The Secrets, those of others or ours. */}}

{{- define "app-engine.tls-secret" -}}
{{- if .Values.tls.existingSecret -}}{{ .Values.tls.existingSecret }}
{{- else if .Values.tls.certManager.issuer -}}{{ include "app-engine.name" . }}-tls
{{- end -}}
{{- end -}}

{{- define "app-engine.tokens-secret" -}}
{{ .Values.tokens.existingSecret | default (printf "%s-tokens" (include "app-engine.name" .)) }}
{{- end -}}

{{- define "app-engine.database-secret" -}}
{{- if .Values.database.existingSecret -}}{{ .Values.database.existingSecret }}
{{- else if .Values.database.password -}}{{ include "app-engine.name" . }}-database
{{- end -}}
{{- end -}}

{{- define "app-engine.registry-secret" -}}
{{- if .Values.registry.existingSecret -}}{{ .Values.registry.existingSecret }}
{{- else if or .Values.registry.bundled .Values.registry.username -}}{{ include "app-engine.registry-name" . }}
{{- end -}}
{{- end -}}
