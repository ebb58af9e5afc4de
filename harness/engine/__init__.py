"""What each command does, as ordered steps: a module or a package per story.

May import everything but `harness.cli` and the renderers of `harness.report`. Nothing here prints or exits.
"""
