"""The digital twin: a robot in a process of its own, which differs from training's simulation as a laboratory does.

Nobody imports it: `handful.transfer.robots.twin` starts ``python -m handful.twin`` and talks to it through a socket. What is
in it and in its files is not for training to know.
"""
