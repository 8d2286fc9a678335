"""A page in the browser that shows a simulation live, with controls; made with `viser`, and `mjviser` for the scene."""

from __future__ import annotations

import base64
import io
import queue
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import viser
from mjviser import ViserMujocoScene

from handful.simulation import scene
from handful.simulation.physics.protocol import Physics
from handful.simulation.randomization import Level
from handful.viewing.gate import Gate
from handful.viewing.gated_viser import serve_viser
from handful.viewing.live_episode import MAX_SEED, Status, following_seed

MAX_REQUESTS = 32
"""Requests of visitors that may wait; further ones are dropped and the visitors told."""

SPEEDS = ("0.25", "0.5", "1", "2", "5", "10")
"""Times real time."""

Request = Callable[[], None]


class ViewPage:
    """The page. A visitor's requests are put into `requests`; the loop that steps the simulation calls them."""

    def __init__(self, physics: Physics, *, title: str, gate: Gate) -> None:
        """Serve a page with the scene of the first simulation behind a gate; `add_controls` adds the controls."""
        self._server = serve_viser(gate, title)
        self.paused = False
        """Whether the visitor has paused the simulation."""
        self.speed = 1.0
        """Speed of the simulation, in times real time."""
        self.requests: queue.Queue[Request] = queue.Queue(MAX_REQUESTS)
        """What the visitor asked for, in order."""
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        self._server.initial_camera.position = (1.1, 0.3, 0.6)
        self._server.initial_camera.look_at = scene.CAMERA_TARGET
        self._server.initial_camera.up = (0.0, 0.0, 1.0)
        self._scene = ViserMujocoScene(self._server, physics.model_of(0), num_envs=1)
        self._scene.camera_tracking_enabled = False
        # Its environment map would be fetched from the network; two lights replace it.
        self._server.scene.configure_environment_map(None)
        self._server.scene.add_light_ambient("/ambient", intensity=0.8)
        self._pixels: np.ndarray | None = None
        self._status = gui.add_markdown("")
        # As HTML, since viser's own image revokes the address of a picture that the browser may not have loaded yet.
        self._image = gui.add_html("")

    def add_controls(
        self,
        *,
        actors: Sequence[str],
        actor: str,
        level: str,
        seed: int,
        act_by: Callable[[str], None],
        restart: Callable[[int, str], None],
        step: Callable[[], None],
    ) -> None:
        """Add the controls, with the present ``actor``, randomisation ``level`` and ``seed``.

        ``act_by`` is called with the actor that the visitor chose, ``restart`` with the seed and the level of a new episode,
        and ``step`` for a single step of a paused simulation.
        """
        gui, levels = self._server.gui, tuple(level.name.lower() for level in Level)
        chosen = gui.add_dropdown("Acts", tuple(actors), initial_value=actor)
        randomization = gui.add_dropdown("Randomisation", levels, initial_value=level)
        self._seed, self._shown_seed = gui.add_number("Seed", seed, min=0, max=MAX_SEED, step=1), seed
        again = gui.add_button("Reset with this seed", icon=viser.Icon.REFRESH)
        following = gui.add_button("Next seed", icon=viser.Icon.PLAYER_TRACK_NEXT)
        paused = gui.add_checkbox("Pause", False)
        single = gui.add_button("One step", icon=viser.Icon.PLAYER_SKIP_FORWARD, disabled=True)
        speed = gui.add_dropdown("Speed", SPEEDS, initial_value="1")

        def request(call: Request) -> Callable[[object], None]:
            def put(_: object) -> None:
                try:
                    self.requests.put_nowait(call)
                except queue.Full:
                    self.complain(f"More than {MAX_REQUESTS} requests wait; this one was dropped.")

            return put

        def begin() -> None:
            restart(int(self._seed.value), randomization.value)

        def pause() -> None:
            self.paused = bool(paused.value)
            single.disabled = not self.paused

        def set_speed() -> None:
            self.speed = float(speed.value)

        def next_seed() -> None:
            self._seed.value = self._shown_seed = following_seed(int(self._seed.value))
            begin()

        chosen.on_update(request(lambda: act_by(chosen.value)))
        randomization.on_update(request(begin))
        again.on_click(request(begin))
        following.on_click(request(next_seed))
        paused.on_update(request(pause))
        single.on_click(request(step))
        speed.on_update(request(set_speed))

    def show_model(self, physics: Physics) -> None:
        """Draw the first simulation again, after an episode has begun with other shapes and colours."""
        with self._server.atomic():  # or the browser would draw some bodies without a place, and others not at all
            self._scene.mj_model = physics.model_of(0)
            self._scene.rebuild_visual_handles()
            self._place_bodies(physics)

    def show(self, physics: Physics, pixels: np.ndarray, status: Status) -> None:
        """Move the bodies of the first simulation, and show the status of the episode."""
        with self._server.atomic():
            self._place_bodies(physics)
            self._status.content = _words(status)
            if self._pixels is None or not np.array_equal(pixels, self._pixels):  # the camera is slower than the page
                self._pixels = pixels.copy()
                self._image.content = _picture(pixels)
            if status.seed != self._shown_seed:
                if self._seed.value == self._shown_seed:  # a visitor who has typed another seed keeps it
                    self._seed.value = status.seed
                self._shown_seed = status.seed

    def complain(self, message: str) -> None:
        """Show an error to every visitor."""
        for client in self._server.get_clients().values():
            client.add_notification("That did not work", message, color="red")

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()

    def _place_bodies(self, physics: Physics) -> None:
        self._scene.update_from_arrays(
            physics.xpos[:1], physics.xmat[:1].reshape(1, -1, 3, 3), qpos=physics.qpos[:1], qvel=physics.qvel[:1]
        )


def _picture(pixels: np.ndarray) -> str:
    """What the policy sees, uint8 [height, width, 3], as HTML with each pixel enlarged."""
    png = io.BytesIO()
    PIL.Image.fromarray(pixels).save(png, format="png")
    source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    style = "width: 100%; image-rendering: pixelated; display: block"
    return f'<div style="padding: 0 0.5em">What the policy sees<img alt="camera" style="{style}" src="{source}"></div>'


def _words(status: Status) -> str:
    outcomes = {None: "; **solved**" if status.held else "", True: "; the episode **succeeded**"}
    outcome = outcomes.get(status.success, "; the episode **did not succeed**")
    return (
        f"seed {status.seed}, stage: **{status.stage}**{outcome}\n\n"
        f"{status.seconds:.1f} s, reward {status.reward:g}, return {status.task_return:.1f}\n\n"
        f"successes: **{status.num_successes}** of {status.num_episodes} episodes"
    )
