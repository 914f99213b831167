{{- define "headgate.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "headgate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{- define "headgate.labels" -}}
{{ include "headgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "headgate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "headgate.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "headgate.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- /* What no schema can say, because it is about two values at once. */ -}}
{{- define "headgate.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.postgresql.enabled) -}}
{{- fail (printf "replicas is %d, but SQLite has room for one controller: set postgresql.enabled, or replicas: 1" (int .Values.replicas)) -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (eq (default "several" .Values.settings.controllers) "one") -}}
{{- fail (printf "replicas is %d, but settings.controllers is one: leave it out, or set replicas: 1" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.postgresql.enabled (not .Values.secretName) -}}
{{- fail (printf "postgresql.enabled needs secretName: a Secret whose key %s is postgresql://USER:PASSWORD@HOST/DATABASE" .Values.postgresql.secretKey) -}}
{{- end -}}
{{- if and .Values.webhook.enabled (not (dig "github" "webhook" "secret" "" .Values.settings)) -}}
{{- fail "webhook.enabled needs settings.github.webhook.secret: the name of a key of the Secret secretName" -}}
{{- end -}}
{{- if and .Values.steps.enabled (not .Values.settings.artifacts) -}}
{{- fail "steps.enabled needs settings.artifacts, s3://, gs:// or az:// with a prefix, by which steps get their inputs; or set steps.enabled: false" -}}
{{- end -}}
{{- if and .Values.steps.enabled (eq .Values.steps.namespace .Release.Namespace) -}}
{{- fail (printf "steps.namespace is %s, where the controller and its secrets are; name another one" .Release.Namespace) -}}
{{- end -}}
{{- if and .Values.serving.enabled (not .Values.settings.artifacts) -}}
{{- fail "serving.enabled needs settings.artifacts, s3://, gs:// or az:// with a prefix, by which servers get their models" -}}
{{- end -}}
{{- if and .Values.serving.enabled (or (eq .Values.serving.namespace .Release.Namespace) (eq .Values.serving.namespace .Values.steps.namespace)) -}}
{{- fail (printf "serving.namespace is %s, where the controller or steps are; name another one" .Values.serving.namespace) -}}
{{- end -}}
{{- end -}}

{{- /* The rules of `deployer: kubernetes`; deployers/kubernetes/access.py has the same, and what for. */ -}}
{{- define "headgate.servingRules" -}}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, patch, list, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, get, list, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch, get, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, patch, get, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- if .Values.serving.gateway }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [create, patch, get, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
{{- end }}
{{- end -}}

{{- /* headgate.yaml: the chart's own settings, and those of the values. */ -}}
{{- define "headgate.settings" -}}
{{- $own := dict "name" (include "headgate.name" .) "log" (dict "format" "json") -}}
{{- if .Values.postgresql.enabled -}}
{{- $_ := set $own "store" (printf "${%s}" .Values.postgresql.secretKey) -}}
{{- end -}}
{{- $kubernetes := dict "image" (include "headgate.image" .) -}}
{{- if .Values.steps.enabled -}}
{{- $_ := set $kubernetes "namespace" .Values.steps.namespace -}}
{{- end -}}
{{- if .Values.serving.enabled -}}
{{- $_ := set $kubernetes "serving" (dict "namespace" .Values.serving.namespace) -}}
{{- end -}}
{{- if or .Values.steps.enabled .Values.serving.enabled -}}
{{- $_ := set $own "kubernetes" $kubernetes -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $_ := set $own "controllers" "several" -}}
{{- end -}}
{{- if .Values.webhook.enabled -}}
{{- $_ := set $own "github" (dict "webhook" (dict "host" "0.0.0.0" "port" .Values.webhook.port)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.settings)) -}}
{{- end -}}

{{- /* The rules of `deployer: kserve`, as in deployers/kubernetes/access.py. */ -}}
{{- define "headgate.kserveRules" -}}
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [create, patch, get, delete]
- apiGroups: [serving.kserve.io]
  resources: [servingruntimes]
  verbs: [create, patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get]
- apiGroups: [serving.knative.dev]
  resources: [revisions]
  verbs: [list]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list]
- apiGroups: [""]
  resources: [services]
  verbs: [list]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, patch, get, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch, list, delete]
{{- end -}}

{{- /* The rules of the executor; controller/executors/kubernetes/access.py has the same, and what for. */ -}}
{{- define "headgate.rules" -}}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, get, list, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch, list, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch]
{{- if .Values.steps.queues }}
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
- apiGroups: [kueue.x-k8s.io]
  resources: [localqueues]
  verbs: [list]
{{- end }}
{{- if .Values.steps.training }}
- apiGroups: [trainer.kubeflow.org]
  resources: [trainjobs]
  verbs: [create, get, list, delete]
- apiGroups: [trainer.kubeflow.org]
  resources: [trainingruntimes]
  verbs: [get, create, patch, list, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, delete]
{{- end }}
{{- end -}}
