"""Commit -> Image: layers put together to an OCI image and sent to where it runs.

May import `harness.project` and `harness.host`. What happens with an image on a cluster is not known here.
"""
