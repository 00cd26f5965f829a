"""Shared parts of pipelines over files: options, which files to read, a gallery of the results."""
