"""Robots behind one protocol, and what is known of their bodies."""
