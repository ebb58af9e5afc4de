"""What each value of Airflow's official chart means here: counted in which way, or why it is not.

Patterns are of a value's path with dots; `*` stands for one part, `**` at the end for all that lies below. The first
that fits counts. docs/from-production.md shows this table, and a test holds that both agree.
https://airflow.apache.org/docs/helm-chart/stable/parameters-ref.html names the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Way(Enum):
    """How a value counts."""

    CONFIG = "a setting of Airflow, in all its parts and in tasks"
    ENVIRONMENT = "variables of all parts and tasks"
    TASK_ENVIRONMENT = "variables of tasks"
    ENVIRONMENT_FROM = "variables, from what `extraConfigMaps` holds"
    CONFIG_MAPS = "ConfigMaps of the version"
    VOLUMES = "volumes of all pods: emptyDir, downwardAPI, and ConfigMaps of `extraConfigMaps`"
    MOUNTS = "mounts of these volumes in all pods"
    TASK_VOLUMES = "volumes of task pods: emptyDir, downwardAPI, and ConfigMaps of `extraConfigMaps`"
    TASK_MOUNTS = "mounts of these volumes in task pods"
    TASK_RESOURCES = "requests and limits of task pods"
    TRIGGERER_RESOURCES = "requests and limits of the triggerer"
    SIDECARS = "further containers of task pods"
    INIT_CONTAINERS = "containers that run before a task"
    ANNOTATIONS = "annotations of task pods"
    LABELS = "labels of task pods"
    POD_TEMPLATE = "merged into the template of task pods: containers, volumes, variables, resources"
    LOCAL_SETTINGS = "`airflow_local_settings.py` of all parts and tasks"
    EXECUTOR = "told where it is not the KubernetesExecutor, which runs all tasks here"
    HOME = "told where the image has another: `root` under `[image]`"
    USER = "told where the image has another user"
    AIRFLOW = "told where the image has another Airflow"


@dataclass(frozen=True)
class Rule:
    """Keys of the official chart, and what they mean: a way, or a reason why they do not count."""

    patterns: tuple[str, ...]
    meaning: Way | str

    @property
    def counts(self) -> bool:
        return isinstance(self.meaning, Way)

    @property
    def text(self) -> str:
        return self.meaning.value if isinstance(self.meaning, Way) else self.meaning


SECRETS = "secrets come from `[secrets]` in harness.toml"
NODES = "it is about the nodes of another cluster"
ONE_PROCESS = (
    "scheduler, API server and DAG processor are one process here: `env` and `config` reach them all"
)
NO_CELERY = "there is no Celery here: every task is a pod"
IMAGE = "the image is the commit's: `[image]` in harness.toml"
LOGS = "task logs stay on the version's volume, until it goes"
RULES = (
    Rule(("executor",), Way.EXECUTOR),
    Rule(("airflowHome",), Way.HOME),
    Rule(("uid",), Way.USER),
    Rule(("airflowVersion",), Way.AIRFLOW),
    Rule(
        (
            "config.celery.**",
            "config.celery_kubernetes_executor.**",
            "config.celery_broker_transport_options.**",
        ),
        NO_CELERY,
    ),
    Rule(
        (
            "config.logging.remote_*",
            "config.logging.*_remote_*",
            "config.elasticsearch*.**",
            "config.opensearch*.**",
        ),
        LOGS,
    ),
    Rule(("config.*.*",), Way.CONFIG),
    Rule(("env", "extraEnv"), Way.ENVIRONMENT),
    Rule(("workers.env", "workers.kubernetes.env"), Way.TASK_ENVIRONMENT),
    Rule(("extraEnvFrom",), Way.ENVIRONMENT_FROM),
    Rule(("extraConfigMaps.**",), Way.CONFIG_MAPS),
    Rule(("volumes",), Way.VOLUMES),
    Rule(("volumeMounts",), Way.MOUNTS),
    Rule(("workers.extraVolumes", "workers.kubernetes.extraVolumes"), Way.TASK_VOLUMES),
    Rule(("workers.extraVolumeMounts", "workers.kubernetes.extraVolumeMounts"), Way.TASK_MOUNTS),
    Rule(("workers.resources.**", "workers.kubernetes.resources.**"), Way.TASK_RESOURCES),
    Rule(("triggerer.resources.**",), Way.TRIGGERER_RESOURCES),
    Rule(("workers.extraContainers", "workers.kubernetes.extraContainers"), Way.SIDECARS),
    Rule(("workers.extraInitContainers", "workers.kubernetes.extraInitContainers"), Way.INIT_CONTAINERS),
    Rule(
        ("airflowPodAnnotations.**", "workers.podAnnotations.**", "workers.kubernetes.podAnnotations.**"),
        Way.ANNOTATIONS,
    ),
    Rule(("workers.labels.**", "workers.kubernetes.labels.**"), Way.LABELS),
    Rule(("podTemplate",), Way.POD_TEMPLATE),
    Rule(("airflowLocalSettings",), Way.LOCAL_SETTINGS),
    Rule(
        (
            "images.**",
            "defaultAirflowRepository",
            "defaultAirflowTag",
            "defaultAirflowDigest",
            "registry.**",
            "imagePullSecrets",
        ),
        IMAGE,
    ),
    Rule(("dags.**",), "DAGs are the commit's: `code` under `[image]`"),
    Rule(("logs.**", "elasticsearch.**", "opensearch.**", "*.logGroomerSidecar.**"), LOGS),
    Rule(
        ("secret", "extraSecrets.**", "kerberos.**", "enableBuiltInSecretEnvVars.**", "data.*SecretName"),
        SECRETS,
    ),
    Rule(
        ("fernetKey*", "webserverSecretKey*", "apiSecretKey*", "jwtSecret*"), "keys are made for each version"
    ),
    Rule(
        ("postgresql.**", "pgbouncer.**", "data.metadataConnection.**", "migrateDatabaseJob.**"),
        "each version has a migrated database of its own",
    ),
    Rule(
        (
            "redis.**",
            "flower.**",
            "data.**",
            "workers.celery.**",
            "workers.keda.**",
            "workers.hpa.**",
            "workers.replicas",
            "workers.persistence.**",
            "workers.command",
            "workers.args",
            "workers.strategy.**",
            "workers.updateStrategy.**",
            "workers.livenessProbe.**",
        ),
        NO_CELERY,
    ),
    Rule(
        (
            "ingress.**",
            "apiServer.service.**",
            "webserver.service.**",
            "ports.**",
            "apiServer.networkPolicy.**",
            "webserver.networkPolicy.**",
            "networkPolicies.**",
        ),
        "versions are reached through harness's own gateway: `harness ui`",
    ),
    Rule(
        (
            "createUserJob.**",
            "webserver.defaultUser.**",
            "webserver.webserverConfig*",
            "apiServer.apiServerConfig*",
        ),
        "a version has one user, made for it",
    ),
    Rule(
        (
            "nodeSelector.**",
            "affinity.**",
            "tolerations",
            "topologySpreadConstraints",
            "schedulerName",
            "priorityClasses",
            "*.nodeSelector.**",
            "*.affinity.**",
            "*.tolerations",
            "*.topologySpreadConstraints",
            "*.priorityClassName",
            "*.schedulerName",
            "*.runtimeClassName",
            "*.hostAliases",
        ),
        NODES,
    ),
    Rule(("statsd.**", "otelCollector.**", "prometheus.**"), "a version sends no metrics of Airflow's own"),
    Rule(("cleanup.**", "databaseCleanup.**"), "a version is thrown away with all that is in it"),
    Rule(
        (
            "rbac.**",
            "allowPodLaunching",
            "*.serviceAccount.**",
            "serviceAccountTokenVolume.**",
            "securityContext.**",
            "securityContexts.**",
            "*.securityContext.**",
            "*.securityContexts.**",
            "gid",
            "*.safeToEvict",
            "containerLifecycleHooks.**",
            "*.containerLifecycleHooks.**",
        ),
        "rights are harness's own: pods run without privileges, and tasks may not speak to Kubernetes",
    ),
    Rule(("quotas.**", "limits"), "quotas are harness's own: one version must leave room for others"),
    Rule(
        (
            "fullnameOverride",
            "nameOverride",
            "useStandardNaming",
            "labels.**",
            "airflowConfigAnnotations.**",
            "revisionHistoryLimit",
            "*.revisionHistoryLimit",
            "*.annotations.**",
            "*.labels.**",
            "*.podAnnotations.**",
            "*.configMapAnnotations.**",
            "*.jobAnnotations.**",
            "extraManifests",
            "extraObjects",
        ),
        "names and objects of a release are harness's own",
    ),
    Rule(("scheduler.**", "apiServer.**", "webserver.**", "dagProcessor.**"), ONE_PROCESS),
    Rule(("triggerer.**",), "the triggerer starts when a task is deferred, as harness has it"),
    Rule(("workers.**",), "task pods are as harness has them: they end with their run"),
)
UNKNOWN = "the official chart has no such key"
SET_BY_HARNESS = "it is harness's own to set"
TEMPLATED = "it holds a Helm template, which is read by nobody here"


def rule_of(path: tuple[str, ...]) -> Rule | None:
    """What a value means by its path; None for one that the official chart does not have."""
    return next((rule for rule in RULES if any(_fits(each.split("."), path) for each in rule.patterns)), None)


def _fits(pattern: list[str], path: tuple[str, ...]) -> bool:
    from fnmatch import fnmatchcase

    deep = pattern[-1] == "**"
    wanted = pattern[:-1] if deep else pattern
    if len(path) < len(wanted) or (not deep and len(path) != len(wanted)):
        return False
    return all(fnmatchcase(part, each) for part, each in zip(path, wanted, strict=False))
