"""Operators, the recorder, demonstration files and the curriculum made of them."""
