"""kafka://host:port/topic: topics of a Kafka cluster."""
