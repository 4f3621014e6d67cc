"""Outbound connectors: each fulfils a slice's port."""
