"""A person demonstrates on a page: the loop that reads the device, steps the arm in real time, and shows it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.resources
import io
import pathlib
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from handful.demonstrations.clock import SteadyClock
from handful.demonstrations.operators.devices.browser import BrowserDevice
from handful.demonstrations.operators.devices.device import Device, DeviceError, Reading
from handful.demonstrations.operators.devices.registry import BROWSER, make_device
from handful.demonstrations.operators.hand import Hand
from handful.demonstrations.session import DemonstrationSession, SessionStatus
from handful.demonstrations.writer import DemonstrationWriter
from handful.errors import ConfigurationError
from handful.runs.policies import load_actor, read_policy
from handful.simulation.rendering.factory import make_camera
from handful.tasks.environment import CONTROL_HZ, TaskEnvironment
from handful.tasks.registry import make_task
from handful.viewing.gate import LOOPBACK, Gate
from handful.viewing.operating.drawing import PICTURE, poses_of, scene_of, visible_geoms
from handful.viewing.operating.messages import checked, encoded
from handful.viewing.operating.room import Room
from handful.viewing.page_server import PageServer

PICTURE_SIZE = 384
"""Height and width of the live camera's picture on the page [px]."""

PICTURE_PERIOD = 2
"""Control steps between two pictures on the page."""

REOPEN_S = 1.0
"""Time between two attempts to find a device again [s]."""

CONTENT_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}


@dataclasses.dataclass(frozen=True)
class Recording:
    """What is to be recorded, by whom, and where; the fields are the options of ``handful demonstrate``."""

    task: str
    output: pathlib.Path
    operator: str = BROWSER
    num_episodes: int = 30
    randomization: str = "task"
    camera_hz: int | None = None
    seed: int = 0
    overwrite: bool = False
    keep_automatically: bool = False
    policy: str | None = None
    max_seconds: float = 30.0
    speed: float = 1.0
    host: str = LOOPBACK
    port: int = 8080


def operate(
    recording: Recording,
    *,
    on_ready: Callable[[str], None] = print,
    on_warning: Callable[[str], None] = print,
    stopped: Callable[[], bool] = lambda: False,
) -> SessionStatus:
    """Serve the page until all episodes are kept, or ``stopped``; returns how the session ended.

    ``on_ready`` is called with the page's address, ``on_warning`` with one sentence if other machines reach the page.

    Raises:
        ConfigurationError: an option that cannot be, or a file that is there and does not fit.
        DeviceError: a device of this machine that cannot be opened.
        DataError: a file that cannot be extended, or a policy that cannot be read.
    """
    task = make_task(recording.task)
    policy = None if recording.policy is None else read_policy(recording.task, recording.policy)
    if not 2.0 <= recording.max_seconds <= 600.0:
        raise ConfigurationError(f"expected episodes of 2 to 600 s, got {recording.max_seconds:g}.")
    camera_hz = recording.camera_hz or (5 if policy is None else policy.camera_hz)
    with contextlib.ExitStack() as stack:
        environment = TaskEnvironment(
            task,
            num_envs=1,
            seed=recording.seed,
            randomization=recording.randomization,
            camera_hz=camera_hz,
            horizon=round(recording.max_seconds * CONTROL_HZ) + 2,
            num_threads=1,
            tool_state=policy is not None and policy.sees_tool_state,
        )
        stack.enter_context(contextlib.closing(environment))
        writer = DemonstrationWriter(
            recording.output,
            environment,
            seed=recording.seed,
            overwrite=recording.overwrite,
            append=not recording.overwrite,
        )
        stack.callback(writer.close)
        device = make_device(recording.operator)
        device.open()
        stack.enter_context(contextlib.closing(device))
        session = DemonstrationSession(
            environment,
            writer,
            num_wanted=recording.num_episodes,
            seed=recording.seed,
            hand=Hand(dead_zone=device.dead_zone, speed=recording.speed),
            policy=None if policy is None else load_actor(policy, environment, seed=recording.seed),
            keep_automatically=recording.keep_automatically,
            max_seconds=recording.max_seconds,
        )
        gate = stack.enter_context(contextlib.closing(Gate(recording.host, recording.port)))
        page = OperatorPage(gate, session, device)
        stack.enter_context(contextlib.closing(page))
        if gate.warning:
            on_warning(gate.warning)
        on_ready(gate.url)
        clock = SteadyClock(environment.spec.control_timestep)
        while not (stopped() or page.finished):
            clock.wait()
            page.step(clock)
        return session.status


class OperatorPage:
    """The page of one session; `step` is called at every beat of the clock."""

    def __init__(self, gate: Gate, session: DemonstrationSession, device: Device) -> None:
        """Serve it behind a gate, steered by a device of this machine or, if that is a `BrowserDevice`, by the page."""
        self._session, self._device = session, device
        self._page = device if isinstance(device, BrowserDevice) else BrowserDevice()
        self._room = Room(self._page)
        self._room.on_setting = self._set
        environment = session.environment
        self._camera = make_camera(None, environment.physics, width=PICTURE_SIZE, height=PICTURE_SIZE, num_threads=1)
        self._geoms: list[int] = []
        self._shown, self._step, self._reopen_at = -1, 0, 0.0
        self._done_since: float | None = None
        self._server = PageServer(gate, static_files("handful.viewing.operating"), check=checked, events=self._room)
        self._room.server = self._server

    @property
    def finished(self) -> bool:
        """Whether all episodes are kept, and the page has said so for a while."""
        return self._done_since is not None and time.monotonic() - self._done_since > 2.0

    def step(self, clock: SteadyClock) -> None:
        """Read the device, take one control step, and show it."""
        number = self._room.input_number
        self._session.step(self._read())
        self._show(clock, number)
        if self._session.done and self._done_since is None:
            self._done_since = time.monotonic()

    def close(self) -> None:
        """Stop serving."""
        self._server.close()
        self._camera.close()

    def _read(self) -> Reading | DeviceError:
        """What the device tells, with what was pressed on the page."""
        try:
            reading = self._device.read()
        except DeviceError as error:
            if self._device is not self._page and time.monotonic() > self._reopen_at:
                self._reopen_at = time.monotonic() + REOPEN_S
                with contextlib.suppress(DeviceError):
                    self._device.open()
            return error
        if self._device is self._page:
            return reading
        with contextlib.suppress(DeviceError):
            return dataclasses.replace(reading, presses=(*reading.presses, *self._page.read().presses))
        return reading

    def _set(self, keep_automatically: bool) -> None:
        self._session.keep_automatically = keep_automatically

    def _show(self, clock: SteadyClock, number: int) -> None:
        session, physics, server = self._session, self._session.environment.physics, self._server
        new = self._room.newcomers()
        if session.num_begun != self._shown:
            self._shown = session.num_begun
            self._geoms = visible_geoms(physics.model_of(0))
            server.send(self._scene(), kind="scene")
        else:
            for visitor in new:
                server.send(self._scene(), kind="scene", to=visitor)
        status = dataclasses.asdict(session.status)
        timing = {"jitter_ms": round(clock.jitter_ms, 2), "missed": clock.num_missed, "input": number}
        keep = {"keep_automatically": session.keep_automatically}
        snapshot = session.environment.snapshot
        tool = {"tool": snapshot.tcp_position[0].round(5).tolist(), "turn": _turn(snapshot.tcp_rotation[0])}
        server.send(encoded(type="status", **status, **timing, **keep, **tool), kind="status")
        server.send(poses_of(physics, self._geoms), kind="poses")
        self._step += 1
        if self._step % PICTURE_PERIOD == 0 or new:
            server.send(PICTURE + _jpeg(session.environment.render(self._camera)[0]), kind="picture")

    def _scene(self) -> str:
        environment = self._session.environment
        return encoded(
            type="scene",
            task=environment.spec.task,
            stages=environment.spec.stages,
            shapes=scene_of(environment.physics),
            operator=self._device.name,
            legend=self._device.legend,
            steered_here=self._device is self._page,
        )


def static_files(package: str) -> dict[str, tuple[str, bytes]]:
    """The files that lie in the folder ``static`` of a package, by the path at which they are served."""
    folder = importlib.resources.files(package) / "static"
    files = [file for file in folder.iterdir() if pathlib.PurePath(file.name).suffix in CONTENT_TYPES]
    return {f"/{file.name}": (CONTENT_TYPES[pathlib.PurePath(file.name).suffix], file.read_bytes()) for file in files}


def _turn(rotation: np.ndarray) -> list[float]:
    """Rows of the tool's rotation to the world, nine numbers."""
    return rotation.round(5).ravel().tolist()


def _jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
