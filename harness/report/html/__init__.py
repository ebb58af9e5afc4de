"""The result as one self-contained page with its plots."""
