"""Plain paths, file:// and gs://: files of messages, and files as items."""
