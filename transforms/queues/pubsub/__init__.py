"""pubsub://project/name: subscriptions and topics of Google Cloud Pub/Sub."""
