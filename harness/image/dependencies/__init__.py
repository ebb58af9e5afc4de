"""The packages of a version's lock: read, installed and put into a layer.

What a lock is made of, and how, does not belong here.
"""
