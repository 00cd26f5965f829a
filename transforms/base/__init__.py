"""The ground floor: what every pattern stands on. Imports nothing from the floors above."""
