"""The ray caster of a GPU, on Warp's CPU device too: the same kernels draw the same image."""

import numpy as np
import pytest
import torch
import warp as wp
from device_twin import DeviceTwin, FollowingCamera
from pictures import differences, images_by, images_of, random_simulations

from handful.environment import PIXELS, on_host
from handful.errors import ConfigurationError
from handful.simulation.physics.protocol import DevicePhysics
from handful.simulation.rendering.camera import empty_images
from handful.simulation.rendering.factory import make_camera
from handful.tasks import environment as task_environment
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import TASKS

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
)


@pytest.fixture(scope="module")
def simulations() -> TaskEnvironment:
    return random_simulations("block-lifting", 6)


@pytest.fixture(params=["cpu", CUDA])
def camera(simulations, request):
    return make_camera("raycaster", DeviceTwin(simulations.physics, request.param))


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("task", TASKS)
def test_the_device_draws_what_the_rasteriser_draws_of_every_task(task, device):
    """Away from edges the images are equal up to rounding; see `test_cameras` for the edges."""
    environment = random_simulations(task, 6)
    cast = images_by(make_camera(None, DeviceTwin(environment.physics, device)))
    difference, edge = differences(cast, images_of(environment.physics, "rasterizer"))
    environment.close()
    assert difference[~edge].mean() < 0.1
    assert (difference[~edge] > 4).mean() < 0.0005
    assert (difference > 4).mean() < 0.001


def test_the_device_draws_what_the_ray_caster_of_the_cpu_draws_to_the_bit(simulations):
    camera = make_camera("raycaster", DeviceTwin(simulations.physics))
    assert (images_by(camera) == images_of(simulations.physics, "raycaster")).all()


def test_rows_that_are_not_asked_for_are_left_alone(camera):
    images = empty_images(camera)
    images[:] = 7
    camera.render(np.array([4, 1]), images)
    images = on_host(images)
    assert (images[[0, 2, 3, 5]] == 7).all()
    assert (images[[1, 4]] == images_by(camera)[[1, 4]]).all()


def test_a_field_that_has_moved_to_another_array_is_seen(simulations):
    twin = DeviceTwin(simulations.physics)
    camera = make_camera(None, twin)
    before = images_by(camera)
    rgba = twin.warp_model.geom_rgba.numpy().copy()
    rgba[:, simulations.physics.model.geom("block").id, 3] = 0.0
    twin.warp_model.geom_rgba = wp.array(rgba, dtype=wp.vec4, device=twin.device)
    twin.num_replaced += 1
    assert (images_by(camera) != before).any(axis=(1, 2, 3)).all()


def test_the_launches_can_be_captured_and_replayed(simulations):
    """Warp replays graphs on its CPU device too; on a GPU every image after the first is a replay."""
    camera = make_camera("raycaster", DeviceTwin(simulations.physics))
    expected = images_by(camera)
    with wp.ScopedCapture("cpu") as capture:
        camera._launch()
    camera._context.rgb_data.zero_()
    camera._cast = lambda: wp.capture_launch(capture.graph)
    assert (images_by(camera) == expected).all()


def test_only_fitting_tensors_are_drawn_into(camera):
    fitting = empty_images(camera)
    for unfit in (on_host(fitting), fitting[:4], fitting.int(), fitting.transpose(1, 2)):
        with pytest.raises(ConfigurationError, match=r"contiguous uint8 tensor \(6, 64, 64, 3\) on the device c"):
            camera.render(np.arange(6), unfit)


def test_physics_on_a_device_is_drawn_there_or_not_at_all(simulations):
    twin = DeviceTwin(simulations.physics)
    assert isinstance(twin, DevicePhysics) and not isinstance(simulations.physics, DevicePhysics)
    with pytest.raises(ConfigurationError, match="draws on the CPU.*the choices there are: raycaster"):
        make_camera("rasterizer", twin)


def test_an_environment_hands_out_tensors_where_its_camera_draws_them(monkeypatch):
    options = {"num_envs": 3, "randomization": "full", "camera_hz": 10, "horizon": 5, "image_size": 32}
    reference = TaskEnvironment("block-lifting", renderer="raycaster", **options)

    def make_following_camera(renderer, physics, *, num_threads, **size):
        return FollowingCamera(physics, **size)

    monkeypatch.setattr(task_environment, "make_camera", make_following_camera)
    environment = TaskEnvironment("block-lifting", **options)
    steps, expected = [environment.reset()], [reference.reset()]
    action = np.full((3, 9), 0.5)
    for _ in range(7):
        steps.append(environment.step(action))
        expected.append(reference.step(action))
    for mine, theirs in zip(steps, expected, strict=True):  # only now: no step writes into what another handed out
        assert isinstance(mine.observation[PIXELS], torch.Tensor)
        assert (mine.observation[PIXELS].numpy() == theirs.observation[PIXELS]).all()
    assert isinstance(environment.render(), np.ndarray)
    state = environment.state_dict()
    assert isinstance(state["pixels"], np.ndarray)
    again = environment.load_state_dict(state).observation[PIXELS]
    assert isinstance(again, torch.Tensor) and (again == steps[-1].observation[PIXELS]).all()
