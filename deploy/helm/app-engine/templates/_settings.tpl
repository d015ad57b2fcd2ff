{{/* The server's variables, but for those that are secret. */}}
{{- define "app-engine.environment" -}}
{{- $v := .Values -}}
{{- $name := include "app-engine.name" . -}}
{{- $secret := include "app-engine.tls-secret" . -}}
BIND_ADDRESS: "0.0.0.0"
PORT: "8080"
STORAGE_BASE_PATH: /data
TOKENS_FILE: /etc/app-engine/tokens/tokens
{{- if $secret }}
TLS_CERTIFICATE_FILE: /etc/app-engine/tls/tls.crt
TLS_KEY_FILE: /etc/app-engine/tls/tls.key
{{- with $v.tls.caKey }}
SCHEDULER_CA_FILE: /etc/app-engine/tls/{{ . }}
{{- end }}
{{- else }}
ALLOW_INSECURE: "true"
{{- end }}
{{- if gt (int $v.replicas) 1 }}
ENDPOINT_REMOVAL_WAIT: "5"
{{- end }}
{{- if $v.database.host }}
DB_HOST: {{ $v.database.host | quote }}
DB_PORT: {{ $v.database.port | quote }}
DB_NAME: {{ $v.database.name | quote }}
DB_USERNAME: {{ $v.database.username | quote }}
{{- end }}
{{- if $v.registry.url }}
REGISTRY_URL: {{ $v.registry.url | quote }}
{{- else if $v.registry.bundled }}
REGISTRY_URL: http://{{ include "app-engine.registry-name" . }}.{{ .Release.Namespace }}.svc:5000
{{- end }}
{{- if $v.registry.advertisedUrl }}
SCHEDULER_REGISTRY_ADVERTISED_URL: {{ $v.registry.advertisedUrl | quote }}
{{- else if $v.registry.bundled }}
SCHEDULER_REGISTRY_ADVERTISED_URL: 127.0.0.1:{{ $v.registry.nodePort }}
{{- end }}
SCHEDULER: kubernetes
SCHEDULER_RUN_MODE: cluster
SCHEDULER_TASKS_NAMESPACE: {{ include "app-engine.tasks-namespace" . }}
SCHEDULER_ADVERTISED_URL: {{ include "app-engine.advertised-url" . | quote }}
{{- with $v.agent.image }}
TRANSFER_AGENT_IMAGE: {{ . | quote }}
{{- end }}
SCHEDULER_HELPER_MILLICPUS: {{ $v.agent.millicpus | quote }}
SCHEDULER_HELPER_RAM: {{ $v.agent.memory | quote }}
# The policy is part of this chart, which knows the server by its labels and not only its address.
SCHEDULER_NETWORK_POLICY: "false"
SCHEDULER_NETWORK_ISOLATED: {{ and $v.tasks.networkPolicy $v.tasks.networkIsolated | quote }}
SCHEDULER_TASK_UID: {{ $v.tasks.userId | int64 | quote }}
SCHEDULER_GPU_RESOURCE: {{ $v.tasks.gpuResource | quote }}
SCHEDULER_AUTOSCALED: {{ $v.tasks.autoscaled | quote }}
{{- with $v.tasks.nodeSelector }}
SCHEDULER_NODE_SELECTOR: {{ include "app-engine.pairs" . | quote }}
{{- end }}
{{- with $v.tasks.podLabels }}
SCHEDULER_POD_LABELS: {{ include "app-engine.pairs" . | quote }}
{{- end }}
{{- with $v.tasks.tolerations }}
SCHEDULER_TOLERATIONS: {{ . | quote }}
{{- end }}
{{- with $v.tasks.priorityClass }}
SCHEDULER_PRIORITY_CLASS: {{ . | quote }}
{{- end }}
{{- with $v.tasks.queueName }}
SCHEDULER_QUEUE_NAME: {{ . | quote }}
{{- end }}
{{- with $v.tasks.imagePullSecrets }}
SCHEDULER_IMAGE_PULL_SECRETS: {{ join "," . | quote }}
{{- end }}
{{- if $v.datasets.claim }}
REF_STORAGE_BASE_PATH: {{ $v.datasets.path | quote }}
{{- end }}
{{- with $v.datasets.tasksClaim }}
SCHEDULER_DATASET_CLAIM: {{ . | quote }}
{{- end }}
{{- if $v.metrics.enabled }}
METRICS_PORT: {{ $v.metrics.port | quote }}
METRICS_BIND_ADDRESS: "0.0.0.0"
{{- end }}
{{- end -}}

{{- define "app-engine.advertised-url" -}}
{{- if .Values.advertisedUrl -}}{{ .Values.advertisedUrl }}
{{- else -}}
{{ ternary "https" "http" (ne (include "app-engine.tls-secret" .) "") }}://{{ include "app-engine.name" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end -}}
{{- end -}}

{{- define "app-engine.pairs" -}}
{{- $pairs := list -}}
{{- range $name, $value := . -}}{{- $pairs = append $pairs (printf "%s=%s" $name $value) -}}{{- end -}}
{{- join "," $pairs -}}
{{- end -}}

{{/* The container's `env`. */}}
{{- define "app-engine.env" -}}
{{- range $name, $value := include "app-engine.environment" . | fromYaml }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with include "app-engine.database-secret" . }}
- {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: {{ . }}, key: password}}}
{{- end }}
{{- with include "app-engine.registry-secret" . }}
- {name: REGISTRY_USER, valueFrom: {secretKeyRef: {name: {{ . }}, key: username}}}
- {name: REGISTRY_PASSWORD, valueFrom: {secretKeyRef: {name: {{ . }}, key: password}}}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ kindIs "float64" $value | ternary ($value | int64 | toString) ($value | toString) | quote }}}
{{- end }}
# The account has no home.
- {name: HOME, value: /tmp}
{{- end -}}
