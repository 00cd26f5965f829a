"""sqlite:///path/queues.db: durable topics in one file."""
