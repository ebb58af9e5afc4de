"""Pods that a DAG changed by `pod_override`: they don't start, or die of their limits."""

from __future__ import annotations

import os

from .case import Broken, one

POD = "from kubernetes.client import models as k8s\n"


def with_pod(name: str, pod: str, body: str = "return 1", arguments: str = "") -> str:
    """A DAG of one task whose pod is changed by `pod_override`."""
    return one(name, body, f"{arguments}executor_config={{'pod_override': k8s.V1Pod({pod})}}", POD)


def container(what: str) -> str:
    return f"spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base', {what})])"


def resources(**limits: str) -> str:
    return container(f"resources=k8s.V1ResourceRequirements(limits={limits})")


PODS = (
    Broken(
        "out_of_memory",
        with_pod(
            "out_of_memory",
            resources(memory="400Mi"),
            "kept = []\nwhile True:\n    kept.append(bytearray(16 * 2**20))",
        ),
        "task_out_of_memory",
        ("task work", "400Mi", "a peak of"),
        hint="memory limit",
    ),
    Broken(
        "out_of_storage",
        with_pod(
            "out_of_storage",
            container("resources=k8s.V1ResourceRequirements(limits={'ephemeral-storage': '30Mi'})"),
            "import time\nwith open('/tmp/big', 'wb') as f:\n    f.write(b'x' * (200 * 2**20))\ntime.sleep(120)",
        ),
        "task_storage_limit",
        ("task work", "30Mi"),
        hint="ephemeral-storage",
    ),
    Broken(
        "executor_config_of_before",
        one(
            "executor_config_of_before", "return 1", "executor_config={'KubernetesExecutor': {'image': 'x'}}"
        ),
        "task_failed",
        ("task work", "executor_config"),
        hint="pod_override",
    ),
    Broken(
        "larger_than_any_node",
        with_pod(
            "larger_than_any_node",
            container("resources=k8s.V1ResourceRequirements(requests={'cpu': '900'})"),
        ),
        "request_too_large",
        ("task work", "900 CPU"),
    ),
    Broken(
        "unknown_image",
        with_pod("unknown_image", container("image='registry.invalid/team/nothing:1.0'")),
        "image_not_startable",
        ("task work", "registry.invalid/team/nothing:1.0"),
    ),
    Broken(
        "no_such_secret",
        with_pod(
            "no_such_secret",
            container("env_from=[k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name='warehouse'))]"),
        ),
        "pod_not_started",
        ("task work", 'secret "warehouse" not found'),
        hint="pod_override",
    ),
)

NOT_STARTED = (
    Broken(
        "no_such_volume",
        with_pod(
            "no_such_volume",
            "spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base', volume_mounts="
            "[k8s.V1VolumeMount(name='data', mount_path='/data')])], volumes=[k8s.V1Volume(name='data', "
            "persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim_name='data'))])",
        ),
        "pod_not_started",
        ("task work", 'persistentvolumeclaim "data" not found'),
        hint="pod_override",
    ),
    Broken(
        "no_such_secret_volume",
        with_pod(
            "no_such_secret_volume",
            "spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base', volume_mounts="
            "[k8s.V1VolumeMount(name='keys', mount_path='/keys')])], volumes=[k8s.V1Volume(name='keys', "
            "secret=k8s.V1SecretVolumeSource(secret_name='keys'))])",
        ),
        "pod_not_started",
        ("task work", 'secret "keys" not found'),
        hint="pod_override",
        slow=True,
    ),
    Broken(
        "privileged",
        with_pod("privileged", container("security_context=k8s.V1SecurityContext(privileged=True)")),
        "pod_not_started",
        ("task work", "PodSecurity"),
        hint="pod_override",
    ),
    Broken(
        "no_such_node",
        with_pod(
            "no_such_node",
            "spec=k8s.V1PodSpec(node_selector={'gpu': 'a100'}, containers=[k8s.V1Container(name='base')])",
        ),
        "pod_not_started",
        ("task work", "node"),
        hint="nodeSelector",
    ),
    Broken(
        "wants_a_gpu",
        with_pod("wants_a_gpu", resources(**{"nvidia.com/gpu": "1"})),
        "request_too_large",
        ("work", "1 nvidia.com/gpu"),
        hint="take nvidia.com/gpu out",
    ),
    Broken(
        "never_fits_beside_airflow",
        with_pod(
            "never_fits_beside_airflow",
            container(f"resources=k8s.V1ResourceRequirements(requests={{'cpu': '{os.cpu_count()}'}})"),
        ),
        "request_too_large",
        ("work", f"it requests {os.cpu_count()} CPU", "the largest node has"),
        hint="lower the requests",
    ),
    Broken(
        "init_image_missing",
        with_pod(
            "init_image_missing",
            "spec=k8s.V1PodSpec(containers=[k8s.V1Container(name='base')], init_containers=[k8s.V1Container("
            "name='fetch', image='registry.invalid/team/fetch:2.1', security_context=k8s.V1SecurityContext("
            "allow_privilege_escalation=False, capabilities=k8s.V1Capabilities(drop=['ALL'])))])",
        ),
        "image_not_startable",
        ("work", "registry.invalid/team/fetch:2.1", "container fetch"),
        hint="pod_override",
    ),
)
