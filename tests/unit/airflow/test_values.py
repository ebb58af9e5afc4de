"""Values of Airflow's official chart: what counts here, why the rest does not, and that nothing is lost between."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.airflow.values.official import RULES, UNKNOWN, Way, rule_of
from harness.airflow.values.pods import images, resources
from harness.airflow.values.reading import Facts, Values, by_reason, read
from harness.errors import CauseCode, HarnessError

DEFAULTS = {
    "worker": {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"memory": "2Gi", "ephemeral-storage": "10Gi"},
    },
    "triggerer": {"requests": {"cpu": "40m", "memory": "260Mi"}, "limits": {"memory": "1Gi"}},
}
FACTS = Facts(
    airflow="3.2.2",
    root="/opt/airflow",
    user_id=50000,
    own=frozenset({"AIRFLOW__CORE__EXECUTOR", "PYTHONPATH", "AIRFLOW__CORE__PARALLELISM"}),
    secrets=frozenset({"WAREHOUSE_PASSWORD"}),
    defaults=DEFAULTS,
)
# Some of each part of the official chart's values.yaml.
OFFICIAL = """
fullnameOverride nameOverride useStandardNaming revisionHistoryLimit uid gid securityContext.fsGroup
airflowHome securityContexts.pod.runAsUser containerLifecycleHooks.preStop defaultAirflowRepository
defaultAirflowTag executor defaultAirflowDigest airflowVersion images.airflow.tag images.pod_template.tag
images.useDefaultImageForMigration nodeSelector.disk affinity.nodeAffinity tolerations
topologySpreadConstraints schedulerName labels.team ingress.web.enabled ingress.apiServer.hosts
networkPolicies.enabled airflowPodAnnotations.x airflowConfigAnnotations.x airflowLocalSettings rbac.create
allowPodLaunching env volumes volumeMounts secret priorityClasses extraEnv
enableBuiltInSecretEnvVars.AIRFLOW__CORE__FERNET_KEY extraSecrets.x.data extraConfigMaps.x extraEnvFrom
data.metadataSecretName data.metadataConnection.user data.brokerUrl fernetKey fernetKeySecretName
webserverSecretKeySecretName apiSecretKeySecretName jwtSecretName kerberos.enabled workers.replicas
workers.keda.enabled workers.persistence.size workers.kerberosSidecar.enabled workers.resources.limits.memory
workers.extraContainers workers.extraInitContainers workers.extraVolumes workers.extraVolumeMounts
workers.nodeSelector.x workers.podAnnotations.x workers.labels.x workers.logGroomerSidecar.enabled workers.env
workers.celery.replicas workers.kubernetes.resources.requests.cpu scheduler.replicas
scheduler.resources.limits.cpu scheduler.logGroomerSidecar.enabled createUserJob.useHelmHooks
migrateDatabaseJob.enabled apiServer.replicas apiServer.service.type webserver.defaultUser.enabled
triggerer.enabled triggerer.resources.limits.memory dagProcessor.enabled flower.enabled statsd.enabled
otelCollector.enabled pgbouncer.enabled redis.enabled registry.secretName elasticsearch.enabled
opensearch.enabled ports.apiServer quotas.pods limits cleanup.enabled databaseCleanup.enabled
postgresql.enabled config.core.dags_folder podTemplate dags.gitSync.enabled dags.persistence.size
logs.persistence.enabled
""".split()  # noqa: SIM905  a list takes a hundred lines


def of(text: str, facts: Facts = FACTS) -> Values:
    return read(text, file="values.yaml", facts=facts)


def told(values: Values) -> dict[str, str]:
    return dict(values.refused)


@pytest.mark.parametrize("key", OFFICIAL)
def test_every_part_of_the_official_chart_has_a_meaning(key: str) -> None:
    assert rule_of(tuple(key.split("."))) is not None


def test_the_docs_show_the_same_table() -> None:
    text = (Path(__file__).parents[3] / "docs/from-production.md").read_text(encoding="utf-8")
    counts, does_not = text.partition("### What counts")[2].split("### What does not")
    for section, rules in (
        (counts, [rule for rule in RULES if rule.counts]),
        (does_not, [rule for rule in RULES if not rule.counts]),
    ):
        rows = [row for row in section.splitlines() if row.startswith("| `")]
        shown = [
            (tuple(re.findall(r"`([^`]+)`", row.split(" | ")[0])), row.split(" | ")[1].removesuffix(". |"))
            for row in rows
        ]
        assert [(keys, meaning[0].lower() + meaning[1:]) for keys, meaning in shown] == [
            (rule.patterns, rule.text[0].lower() + rule.text[1:]) for rule in rules
        ]


def test_each_way_is_there_for_some_key() -> None:
    assert {rule.meaning for rule in RULES if rule.counts} == set(Way)


def test_settings_reach_all_parts() -> None:
    found = of(
        "config:\n  core: {default_timezone: utc, parallelism: 64}\n  scheduler: {catchup_by_default: false}\n"
    )
    assert found.chart == {
        "environment": {
            "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
            "AIRFLOW__CORE__PARALLELISM": "64",
            "AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT": "False",
        }
    }
    assert found.refused == ()


def test_what_harness_sets_itself_is_told() -> None:
    found = of(
        "config: {core: {executor: LocalExecutor}}\nenv: [{name: PYTHONPATH, value: /x}, {name: A, value: b}]\n"
    )
    assert found.chart == {"environment": {"A": "b"}}
    assert told(found) == {
        "config.core.executor": "it is harness's own to set",
        "env[PYTHONPATH]": "it is harness's own to set",
    }


def test_another_executor_is_told() -> None:
    assert "CeleryExecutor" in told(of("executor: CeleryExecutor"))["executor"]
    assert of("executor: CeleryExecutor,KubernetesExecutor").refused == ()
    assert of("executor: KubernetesExecutor").counted == ("executor",)


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        ("uid: 1000", "uid", "50000"),
        ("airflowHome: /srv", "airflowHome", 'root = "/srv"'),
        ("airflowVersion: 2.10.4", "airflowVersion", "3.2.2"),
    ],
)
def test_what_the_image_says_otherwise_is_told(text: str, key: str, word: str) -> None:
    assert word in told(of(text))[key]


def test_a_variable_of_a_secret_counts_where_secrets_gives_it() -> None:
    entry = "env: [{name: %s, valueFrom: {secretKeyRef: {name: s, key: k}}}]"
    assert of(entry % "WAREHOUSE_PASSWORD").refused == ()
    assert 'from_env = ["OTHER"]' in told(of(entry % "OTHER"))["env[OTHER]"]


def test_config_maps_of_the_values_themselves_can_be_referred_to() -> None:
    found = of(
        """
extraEnvFrom: |
  - configMapRef: {name: '{{ .Release.Name }}-variables'}
  - secretRef: {name: s}
extraConfigMaps:
  '{{ .Release.Name }}-variables': {data: "A: '1'\\nB: true\\n"}
"""
    )
    assert found.chart["environment"] == {"A": "1", "B": "true"}
    assert found.chart["configMaps"] == {"airflow-variables": {"A": "1", "B": "true"}}
    assert list(told(found)) == ["extraEnvFrom[s]"]


def test_a_mount_goes_with_its_volume() -> None:
    found = of(
        """
volumes: [{name: a, emptyDir: {}}, {name: b, hostPath: {path: /}}, {name: tmp, emptyDir: {}}]
volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /b}]
workers: {extraVolumeMounts: [{name: a, mountPath: /c}]}
"""
    )
    assert found.chart["volumes"] == [{"name": "a", "emptyDir": {}}]
    assert found.chart["volumeMounts"] == [{"name": "a", "mountPath": "/a"}]
    assert found.chart["worker"]["volumeMounts"] == [{"name": "a", "mountPath": "/c"}]
    assert set(told(found)) == {"volumes[b]", "volumes[tmp]", "volumeMounts[b]"}


def test_sidecars_run_without_privileges() -> None:
    found = of(
        """
workers:
  extraContainers:
    - {name: proxy, image: "proxy:1", securityContext: {runAsUser: 0}}
    - {name: root, image: "root:1", securityContext: {privileged: true}}
"""
    )
    (sidecar,) = found.chart["worker"]["sidecars"]
    assert sidecar["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert images(found.chart) == ("proxy:1",)
    assert set(told(found)) == {
        "workers.extraContainers[proxy].securityContext",
        "workers.extraContainers[root]",
    }


def test_a_pod_template_is_taken_apart() -> None:
    pod = {
        "metadata": {"annotations": {"a": "1"}, "labels": {"harness.local/commit": "x"}},
        "spec": {
            "nodeSelector": {"gpu": "yes"},
            "containers": [
                {
                    "name": "base",
                    "image": "dummy",
                    "env": [{"name": "A", "value": "1"}],
                    "resources": {"limits": {"cpu": 2, "memory": "4Gi"}},
                    "command": ["x"],
                },
                {"name": "proxy", "image": "proxy:1"},
            ],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    }
    found = of(yaml.safe_dump({"podTemplate": yaml.safe_dump(pod)}))
    worker = found.chart["worker"]
    assert worker["environment"] == {"A": "1"}
    assert worker["annotations"] == {"a": "1"}
    assert worker["resources"]["limits"] == {"memory": "4Gi", "ephemeral-storage": "10Gi"}
    assert [each["name"] for each in worker["sidecars"]] == ["proxy"]
    assert {key.removeprefix("podTemplate.") for key in told(found)} == {
        "metadata.labels.harness.local/commit",
        "spec.nodeSelector",
        "spec.containers[base].image",
        "spec.containers[base].command",
        "workers.resources.limits.cpu",
    }


def test_templates_of_helm_are_told() -> None:
    found = of(
        'config: {metrics: {statsd_on: "{{ .Values.x }}"}}\nairflowLocalSettings: "{{ x }}"\npodTemplate: "{{ if }}"'
    )
    assert len(found.refused) == 3
    assert len(by_reason(found.refused)) == 1


@pytest.mark.parametrize(
    "text", ["2026-02-30", "metadata: x\nspec: x", "metadata: {labels: [a]}\nspec: {containers: 1}"]
)
def test_a_template_of_another_form_is_told(text: str) -> None:
    assert of(yaml.safe_dump({"podTemplate": text, "volumes": text})).refused


@pytest.mark.parametrize("about", ["x", "{labels: [a]}", "{annotations: 2}"])
def test_a_templates_labels_of_another_form_are_told(about: str) -> None:
    found = of(yaml.safe_dump({"podTemplate": f"metadata: {about}\nspec: {{}}"}))
    assert [reason for _, reason in found.refused] == ["it is no table"]


def test_a_slip_of_the_pen_is_told() -> None:
    assert told(of("ingres: {enabled: true}")) == {"ingres.enabled": UNKNOWN}


@pytest.mark.parametrize("text", ["- a\n", "a: [", "x", "a: 2026-02-30", "!!python/object:os.system {}"])
def test_what_is_no_values_file_is_refused(text: str) -> None:
    with pytest.raises(HarnessError) as caught:
        of(text)
    assert caught.value.cause is CauseCode.CONFIG_INVALID


def test_an_empty_file_says_nothing() -> None:
    assert of("") == Values("values.yaml")


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        ({"requests": {"memory": "4Gi"}}, "4Gi", "4Gi"),
        ({"limits": {"memory": "128Mi"}}, "128Mi", "128Mi"),
        ({"limits": {"memory": "3Gi"}}, "256Mi", "3Gi"),
    ],
)
def test_a_limit_is_never_below_its_request(given: dict[str, Any], requests: str, limits: str) -> None:
    found = resources(given, DEFAULTS["worker"])
    assert (found["requests"]["memory"], found["limits"]["memory"]) == (requests, limits)


LEAVES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(
        st.sampled_from(["a", "name", "env", "resources", "limits", "cpu"]), inner, max_size=3
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([*{key.partition(".")[0] for key in OFFICIAL}, "unknown"]), LEAVES, max_size=6
    )
)
def test_nothing_is_dropped_in_silence(data: dict[str, Any]) -> None:
    found = of(yaml.safe_dump(data))
    known = {*found.counted, *(key for key, _ in found.refused)}
    for top, value in data.items():
        if value != {} or top != "extraConfigMaps":
            assert any(key == top or key.startswith((f"{top}.", f"{top}[")) for key in known), (top, value)
