"""The base of every version's image: made from Debian packages, or published and pulled from a registry.

What a commit adds to it (dependencies, code) is beside this package.
"""
