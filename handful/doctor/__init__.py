"""Checks of a machine, and what to type where something is wrong."""
