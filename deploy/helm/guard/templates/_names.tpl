{{- define "guard.name" -}}
{{- $name := default .Release.Name .Values.nameOverride -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "guard.selector" -}}
app.kubernetes.io/name: guard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "guard.labels" -}}
{{ include "guard.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "guard.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "guard.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- /* guard.yaml: the values' config, with what the chart itself decides. */ -}}
{{- define "guard.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $server := merge (dict "host" "0.0.0.0" "port" 8900) (default (dict) $config.server) -}}
{{- if .Values.clientKeysSecret -}}
{{- $_ := set $server "client_keys_file" "/etc/guard-keys/client_keys" -}}
{{- end -}}
{{- toYaml (set $config "server" $server) -}}
{{- end }}

{{- /* SQLite is one process's: several pods would each write a log of their own, and lose it. */ -}}
{{- define "guard.checked" -}}
{{- $url := dig "store" "url" "sqlite:///guard.db" .Values.config -}}
{{- $most := ternary .Values.autoscaling.maxReplicas .Values.replicas .Values.autoscaling.enabled | int -}}
{{- if and (gt $most 1) (hasPrefix "sqlite" $url) -}}
{{- fail (printf "config.store.url %q is one pod's own: name PostgreSQL, or set replicas: 1" $url) -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.cpu) (not .Values.autoscaling.running) -}}
{{- fail "autoscaling needs a metric: set autoscaling.cpu or autoscaling.running" -}}
{{- end -}}
{{- end }}
