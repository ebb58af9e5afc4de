"""One result model; each package renders it for one kind of reader.

`model` and `format` are the words that everything may use; the renderers (`text`, `html`, `files`) may import the
engine's values, and nobody but the command line imports them.
"""
