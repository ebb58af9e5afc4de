{{/* Labels of every object. */}}
{{- define "airflow.labels" -}}
{{ include "airflow.labelsWithoutCommit" . }}
{{- with .Values.labels.commit }}
harness.local/commit: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Labels of a pod that is there before its commit, and must not be replaced when that comes. */}}
{{- define "airflow.labelsWithoutCommit" -}}
app.kubernetes.io/name: airflow
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: harness
{{- with .Values.labels.project }}
harness.local/project: {{ . | quote }}
{{- end }}
{{- with .Values.labels.createdBy }}
harness.local/created-by: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Labels that select the pods of one component. Arguments: root, component. */}}
{{- define "airflow.selector" -}}
app.kubernetes.io/name: airflow
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "airflow.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .Values.user }}
runAsGroup: 0
fsGroup: 0
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "airflow.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
{{- end }}

{{/* Environment variables from the Secret. Arguments: root, keys (a dict of variable to key). */}}
{{- define "airflow.secretEnvironment" -}}
{{- $secret := .root.Values.secretName -}}
{{- range $name, $key := .keys -}}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $key }}
{{ end -}}
{{- end }}

{{/* Where the executor finds the pod template: a ConfigMap's change would take a minute to get there. */}}
{{- define "airflow.podTemplateFile" -}}
{{ if .Values.standby }}/run/harness/pod.yaml{{ else }}/etc/harness/pod-template/pod.yaml{{ end }}
{{- end }}

{{/* The import path: the root, and the folders that are named, under it unless they are absolute. */}}
{{- define "airflow.pythonPath" -}}
{{ .Values.root }}{{ range .Values.pythonPath }}:{{ if not (hasPrefix "/" .) }}{{ $.Values.root }}/{{ end }}{{ . }}{{ end }}
{{- end }}

{{/* What every pod mounts. */}}
{{- define "airflow.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{ include "airflow.versionMounts" . }}
{{- end }}

{{/* The same without /tmp. */}}
{{- define "airflow.versionMounts" -}}
- name: version
  mountPath: {{ .Values.root }}/artifacts
  subPath: artifacts
- name: version
  mountPath: {{ .Values.root }}/logs
  subPath: logs
{{- range .Values.shared }}
- name: version
  mountPath: {{ $.Values.root }}/{{ .path }}
  subPath: {{ .subPath }}
{{- end }}
{{- if .Values.caBundle.configMap }}
- name: ca-bundle
  mountPath: /etc/harness/ca
  readOnly: true
{{- end }}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "airflow.volumes" -}}
- name: tmp
  emptyDir: {}
- name: version
  persistentVolumeClaim:
    claimName: version
{{- if .Values.caBundle.configMap }}
- name: ca-bundle
  configMap:
    name: {{ .Values.caBundle.configMap }}
{{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What runs the code of DAGs mounts besides: the variables of their Secret, and what puts them into Python. */}}
{{- define "airflow.codeVolumeMounts" -}}
- name: python
  mountPath: /etc/harness/python
  readOnly: true
- name: code-secrets
  mountPath: /etc/harness/code-secrets
  readOnly: true
{{- end }}

{{- define "airflow.codeVolumes" -}}
- name: python
  configMap:
    name: python
- name: code-secrets
  secret:
    secretName: {{ .Values.codesSecretName }}
    optional: true
{{- end }}

{{/* Fills the folders that tasks hand files through, once, from the image. */}}
{{- define "airflow.seedContainer" -}}
- name: seed
  image: {{ .Values.image | quote }}
  imagePullPolicy: {{ .Values.imagePullPolicy }}
  command:
    - python
    - -c
    - |
      import pathlib, shutil, sys
      for path, sub_path in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
          source = pathlib.Path(sys.argv[1], path)
          target = pathlib.Path("/volume", sub_path)
          done = pathlib.Path("/volume/.seeded", sub_path)
          if done.exists():
              continue
          target.mkdir(parents=True, exist_ok=True)
          if source.is_dir():
              shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
          done.mkdir(parents=True)
    - {{ .Values.root | quote }}
    {{- range .Values.shared }}
    - {{ .path | quote }}
    - {{ .subPath | quote }}
    {{- end }}
  securityContext:
    {{- include "airflow.securityContext" . | nindent 4 }}
  resources:
    requests: {cpu: 40m, memory: 64Mi}
    limits: {memory: 512Mi}
  volumeMounts:
    - name: version
      mountPath: /volume
{{- end }}

{{- define "airflow.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where a pod goes. Arguments: root; follows, whether the volume draws it to the control plane; worker. */}}
{{- define "airflow.placement" -}}
{{- $pods := .root.Values.pods -}}
{{- $own := .worker | default dict -}}
{{- with merge (dict) ($own.nodeSelector | default dict) $pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $pods.tolerations ($own.tolerations | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if and .follows $pods.onOneNode }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "airflow.selector" (dict "root" .root "component" "control-plane") | nindent 12 }}
{{- end }}
{{- end }}

{{- define "airflow.podAnnotations" -}}
{{- with .Values.pods.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every container of Airflow itself has in common. */}}
{{- define "airflow.controlPlaneContainer" -}}
imagePullPolicy: {{ .Values.imagePullPolicy }}
securityContext:
  {{- include "airflow.securityContext" . | nindent 2 }}
envFrom:
  - configMapRef:
      name: airflow-environment
  - configMapRef:
      name: control-plane-environment
{{- end }}
