"""The learner: a recurrent pixel policy trained with PPO on a mix of task reward and imitation reward.

Knows an environment only through :mod:`handful.environment`.
"""
