"""The parts of shipping_notifications: orders, the notices that customers receive, their delivery. No Beam in here."""
