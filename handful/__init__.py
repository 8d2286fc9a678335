"""Reinforcement and imitation learning of visuomotor skills from a handful of demonstrations."""

from handful.tasks.gym_registration import register_with_gymnasium

register_with_gymnasium()
