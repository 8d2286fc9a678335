"""Simulations in MuJoCo: the arm, the props, the camera, and the physics of many simulations in one batch."""
