"""Images through a registry to clusters elsewhere: where it is, how it is spoken to, and what is pushed."""
