{{/* What the schema cannot see, because it takes several values: a sentence for each thing, as the server itself says it. */}}
{{- define "app-engine.checks" -}}
{{- $v := .Values -}}
{{- $wrong := list -}}
{{- $ways := list $v.tls.existingSecret $v.tls.certManager.issuer $v.tls.insecure | compact -}}
{{- if ne (len $ways) 1 -}}
{{- $wrong = append $wrong "tls: choose one of existingSecret (a Secret with the certificate), certManager.issuer (cert-manager makes one) and insecure=true (a mesh or proxy encrypts)." -}}
{{- end -}}
{{- if and $v.database.bundled $v.database.host -}}
{{- $wrong = append $wrong "database: choose either bundled=true or a host, not both." -}}
{{- else if not (or $v.database.bundled $v.database.host) -}}
{{- $wrong = append $wrong "database: name the host of your PostgreSQL, or take the bundled one by bundled=true." -}}
{{- end -}}
{{- if and $v.database.password $v.database.existingSecret -}}
{{- $wrong = append $wrong "database: give the password or existingSecret, not both." -}}
{{- end -}}
{{- if and $v.registry.bundled $v.registry.existingSecret -}}
{{- $wrong = append $wrong "registry: the bundled one has a Secret of its own: leave existingSecret out." -}}
{{- else if not (or $v.registry.bundled $v.registry.url) -}}
{{- $wrong = append $wrong "registry: give the url of your image registry, or take the bundled one by bundled=true." -}}
{{- end -}}
{{- if and (gt (int $v.replicas) 1) $v.database.bundled -}}
{{- $wrong = append $wrong "replicas: the bundled database is for one; name the host of a PostgreSQL instead." -}}
{{- end -}}
{{- if and (gt (int $v.replicas) 1) (ne $v.storage.accessMode "ReadWriteMany") -}}
{{- $wrong = append $wrong "replicas: several share one storage: set storage.accessMode to ReadWriteMany, with a class or claim that can do it." -}}
{{- end -}}
{{- if and $v.datasets.tasksClaim (not $v.datasets.claim) -}}
{{- $wrong = append $wrong "datasets: the server must see them too: name a claim of its namespace besides tasksClaim." -}}
{{- end -}}
{{- if and $v.tasks.createNamespace (eq (include "app-engine.tasks-namespace" .) .Release.Namespace) -}}
{{- $wrong = append $wrong "tasks: the release's own namespace is there already: set createNamespace=false, or choose another." -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor (not $v.metrics.enabled) -}}
{{- $wrong = append $wrong "metrics: a serviceMonitor needs enabled=true." -}}
{{- end -}}
{{- $taken := concat (keys (include "app-engine.environment" . | fromYaml)) (list "DB_PASSWORD" "REGISTRY_USER" "REGISTRY_PASSWORD") -}}
{{- range $name, $_ := $v.settings -}}
{{- if has $name $taken -}}
{{- $wrong = append $wrong (printf "settings: %s is set by another value of this chart: leave it out here." $name) -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}{{- fail (printf "these values do not fit together:\n%s\n" (join "\n" $wrong)) -}}{{- end -}}
{{- end -}}
