"""Commit -> Image: layers put together to an OCI image and sent to where it runs."""
