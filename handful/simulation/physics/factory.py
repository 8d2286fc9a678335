"""Makes physics on the backend of a name."""

from __future__ import annotations

import mujoco

from handful.errors import ConfigurationError, unknown_name
from handful.simulation.physics.cpu import BatchPhysics
from handful.simulation.physics.protocol import Physics
from handful.simulation.physics.warp_runtime import find_device

BACKENDS = ("cpu", "cuda")
"""MuJoCo on a thread pool, and `mujoco_warp` on a GPU."""


def make_physics(
    backend: str,
    model: mujoco.MjModel,
    *,
    num_envs: int,
    control_timestep: float,
    num_threads: int | None = None,
    device: str | None = None,
) -> Physics:
    """Make ``num_envs`` simulations of a model on one of the `BACKENDS`; each begins with the model's own values.

    Args:
        backend: One of `BACKENDS`.
        model: The nominal model.
        num_envs: Number of simulations.
        control_timestep: Time of one ``step`` [s], a whole number of the model's time steps.
        num_threads: Threads on the host; None takes every core.
        device: Warp's name of the device of the backend ``cuda``; None is its first GPU. "cpu" runs the same kernels
            without a GPU, as the tests do.

    Raises:
        ConfigurationError: no backend or device has that name, a count is not positive or the times do not divide.
    """
    check_backend(backend, device)
    if backend == "cpu":
        return BatchPhysics(model, num_envs=num_envs, control_timestep=control_timestep, num_threads=num_threads)
    # Imported only where it is used: `mujoco_warp` takes seconds to import.
    from handful.simulation.physics.cuda import WarpPhysics

    return WarpPhysics(
        model, num_envs=num_envs, control_timestep=control_timestep, num_threads=num_threads, device=device or "cuda"
    )


def check_backend(backend: str, device: str | None = None) -> None:
    """Check that a backend exists, and that this machine has its device.

    Raises:
        ConfigurationError: no backend has that name, or its device is missing.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if backend == "cuda":
        find_device(device or "cuda")
    elif device not in (None, "cpu"):
        raise ConfigurationError(f"the backend 'cpu' runs on the device cpu, not on '{device}'.")
