"""Devices that a person holds: one protocol, and those that come with handful."""
