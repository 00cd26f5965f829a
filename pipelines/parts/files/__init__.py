"""Shared parts of pipelines over files: options, which files to read, folders written completely, a gallery."""
