"""What makes one laboratory differ from another, read from a scenario file."""

from __future__ import annotations

import dataclasses
import importlib.resources
from typing import Annotated

import msgspec

from handful.errors import unknown_name

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]
Scale = Annotated[float, msgspec.Meta(gt=0.0, le=10.0)]
Rate = Annotated[float, msgspec.Meta(ge=1.0, le=500.0)]
Vector = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Transport:
    """How messages travel: each takes ``latency`` and up to ``jitter`` longer [s], and some are lost."""

    latency: Seconds
    jitter: Seconds
    dropped: Fraction


@dataclasses.dataclass(frozen=True)
class Encoders:
    """What the joints report."""

    hz: Rate
    transport: Transport
    noise: Fraction
    """Deviation of positions [rad]."""
    velocity_noise: Fraction
    """Deviation of velocities [rad/s]."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """The camera: where it is, its lens, and its sensor."""

    hz: Rate
    transport: Transport
    position: Vector
    target: Vector
    """Where it stands and the point that it looks at [m]."""
    roll_deg: float
    fovy: Annotated[float, msgspec.Meta(ge=10.0, le=120.0)]
    """Vertical field of view [deg]."""
    distortion: float
    """Radial distortion k: a point at radius r, 1 at half the height, is drawn at r (1 + k r^2); below 0 is a barrel."""
    vignette: Fraction
    """How much darker the corners are."""
    brightness: Fraction
    """Mean of a picture that the automatic exposure brings about, in the first picture of a trial; it then stays."""
    white_balance: Vector
    """Factors of red, green and blue."""
    gamma: Scale
    blur: Fraction
    """Share of each neighbour in a pixel."""
    noise: Fraction
    """Deviation of a pixel, as a fraction of white."""


@dataclasses.dataclass(frozen=True)
class Servos:
    """A position loop that follows the commanded velocities' integral."""

    lag: Seconds
    """Time constant with which a command is taken up [s]."""
    stiffness: Annotated[float, msgspec.Meta(gt=0.0, le=20_000.0)]
    """Of the arm's loops [N m/rad]."""
    damping: Annotated[float, msgspec.Meta(ge=0.0, le=5_000.0)]
    """Of the arm's loops [N m s/rad]."""
    grip: Scale
    """Highest finger torque, as a multiple of the data sheet's."""


@dataclasses.dataclass(frozen=True)
class Dynamics:
    """The arm's body, as multiples of what its model says."""

    friction: Scale
    damping: Scale
    armature: Scale
    mass: Scale
    gravity_compensation: Annotated[float, msgspec.Meta(ge=0.5, le=1.2)]


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The blocks: foam, as in the paper."""

    half_size: Vector
    """Half sizes [m]."""
    mass: Annotated[float, msgspec.Meta(ge=0.005, le=1.0)]
    friction: Scale
    softness: Annotated[float, msgspec.Meta(ge=0.004, le=0.2)]
    """Time constant of their contacts [s]; training's are of 0.02."""
    colors: dict[str, Vector]
    """Colour of each block by name."""


@dataclasses.dataclass(frozen=True)
class Texture:
    """A procedural texture."""

    pattern: str
    """flat, checker or gradient."""
    first: Vector
    second: Vector
    """Its colours."""
    repeat: Annotated[float, msgspec.Meta(ge=0.1, le=100.0)]
    specks: Fraction
    """Share of its points that have the second colour by chance."""


@dataclasses.dataclass(frozen=True)
class Looks:
    """Light and surfaces."""

    lamp: Vector
    """Where the lamp is [m]."""
    lamp_color: Vector
    ambient: Vector
    arm_shades: tuple[float, float]
    """Grey of the arm's dark and light parts."""
    table: Texture
    floor: Texture
    wall: Texture


@dataclasses.dataclass(frozen=True)
class Laboratory:
    """A laboratory."""

    description: str
    encoders: Encoders
    camera: Camera
    commands: Transport
    servos: Servos
    dynamics: Dynamics
    blocks: Blocks
    looks: Looks


def laboratory_names() -> list[str]:
    """Names of the laboratories."""
    folder = importlib.resources.files("handful.twin") / "laboratories"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def find_laboratory(name: str) -> Laboratory:
    """The laboratory of that name; a `ConfigurationError` lists those there are."""
    if name not in laboratory_names():
        raise unknown_name("laboratory", name, laboratory_names())
    text = (importlib.resources.files("handful.twin") / "laboratories" / f"{name}.json").read_bytes()
    return msgspec.json.decode(text, type=Laboratory)
