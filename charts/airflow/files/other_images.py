"""Task pods with an image of their own run the commit's code, too: it lies in the version's image, which starts first.

Theirs need not have the code at all, as where git-sync brings it in production, and may have that of another commit.
"""

import os

COPY = "import shutil, sys; shutil.copytree(sys.argv[1], '/code/root', symlinks=True)"


def give_code() -> None:
    """Let this process, which becomes the scheduler, put the code into each such pod, after all that others change."""
    from airflow import settings

    others = settings.pod_mutation_hook

    def change(pod: object) -> None:
        others(pod)
        add(pod)

    settings.pod_mutation_hook = change


def add(pod: object) -> None:
    """Put the root of the version's image in place of the pod's own, unless it is the same image."""
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import models as k8s

    template = PodGenerator.deserialize_model_file(
        os.environ["AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE"]
    )
    ours, base = template.spec.containers[0], pod.spec.containers[0]
    if not base.image or base.image == ours.image:
        return
    root = os.environ["AIRFLOW_HOME"]
    first = k8s.V1Container(
        name="code",
        image=ours.image,
        image_pull_policy=ours.image_pull_policy,
        command=["python", "-c", COPY, root],
        security_context=ours.security_context,
        resources=k8s.V1ResourceRequirements(
            requests={"cpu": "40m", "memory": "64Mi"}, limits={"memory": "512Mi"}
        ),
        volume_mounts=[k8s.V1VolumeMount(name="code", mount_path="/code")],
    )
    pod.spec.init_containers = [first, *(pod.spec.init_containers or [])]
    pod.spec.volumes = [
        *(pod.spec.volumes or []), k8s.V1Volume(name="code", empty_dir=k8s.V1EmptyDirVolumeSource())
    ]  # fmt: skip
    mount = k8s.V1VolumeMount(name="code", mount_path=root, sub_path="root")
    base.volume_mounts = [mount, *(base.volume_mounts or [])]
