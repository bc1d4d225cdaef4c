"""provisioner: a YAML profile becomes a Windows machine that installed itself."""

__version__ = "0.1.0"
