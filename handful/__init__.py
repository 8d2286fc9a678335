"""Reinforcement and imitation learning of visuomotor skills from a handful of demonstrations."""
