import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import handful  # noqa: F401 (registers the environments)
from handful.errors import ConfigurationError
from handful.tasks.gym_registration import gymnasium_id
from handful.tasks.registry import TASKS

SMALL = {"image_size": 16, "horizon": 9}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("observation", ["pixels", "state", "all"])
def test_passes_gymnasiums_own_checker_without_a_warning(task, observation):
    environment = gymnasium.make(gymnasium_id(task), observation=observation, image_size=16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(environment.unwrapped)
    environment.close()


@pytest.mark.parametrize("task", TASKS)
def test_a_vector_environment_is_as_many_single_ones(task):
    many = gymnasium.make_vec(gymnasium_id(task), num_envs=3, observation="all", **SMALL)
    assert isinstance(many.unwrapped, gymnasium.vector.VectorEnv) and many.num_envs == 3
    singles = [gymnasium.make(gymnasium_id(task), observation="all", **SMALL) for _ in range(3)]
    actions = np.random.default_rng(0).uniform(-1, 1, (9, 3, 9)).astype(np.float32)
    observation, _ = many.reset(seed=5)
    assert many.observation_space.contains(observation)
    for i, single in enumerate(singles):
        alone, _ = single.reset(seed=5 + i)
        assert all((alone[group] == observation[group][i]).all() for group in alone)
    for step, action in enumerate(actions):
        observation, reward, terminated, truncated, infos = many.step(action)
        for i, single in enumerate(singles):
            alone, *outcome, info = single.step(action[i])
            assert outcome == [reward[i], terminated[i], truncated[i]] and info["stage"] == infos["stage"][i]
            ended = step == 8
            expected = infos["final_obs"][i] if ended else {group: values[i] for group, values in observation.items()}
            assert all((alone[group] == expected[group]).all() for group in alone)
            assert ("is_success" in info) == ended
    assert truncated.all() and infos["_final_info"].all() and not infos["final_info"]["is_success"].any()
    assert many.observation_space.contains(observation)


def test_renders_what_people_look_at():
    single = gymnasium.make("handful/BlockLifting-v0", observation="state", render_mode="rgb_array")
    single.reset(seed=0)
    assert single.render().shape == (256, 256, 3) and single.render().std() > 10
    many = gymnasium.make_vec("handful/BlockLifting-v0", num_envs=2, observation="state", render_mode="rgb_array")
    many.reset(seed=0)
    assert (many.render()[0] == single.render()).all() and many.render()[1].shape == (256, 256, 3)


def test_another_arm_and_a_variant_are_asked_for_by_name():
    single = gymnasium.make("handful/BlockLifting-v0", arm="panda", image_size=16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(single.unwrapped)
    assert single.unwrapped._simulations.environment.task.arm.name == "panda"
    many = gymnasium.make_vec("handful/Pouring-v0", num_envs=2, observation="state", arm="panda", variant="eight-balls")
    observation, _ = many.reset(seed=0)
    assert many.observation_space.contains(observation)


@pytest.mark.parametrize("imports", ["import gymnasium, handful", "import handful, gymnasium", "import gymnasium"])
def test_is_registered_in_whatever_order_the_packages_are_imported(imports):
    name = "handful/BlockLifting-v0" if "handful" in imports else "handful:handful/BlockLifting-v0"
    program = f"{imports}; print(gymnasium.make({name!r}, observation='state').reset(seed=0)[0].shape)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("(")


def test_bad_input_gets_one_clear_sentence():
    with pytest.raises(ConfigurationError, match=r"did you mean 'pixels'\? The choices are: pixels, all, state"):
        gymnasium.make("handful/BlockLifting-v0", observation="pixel")
    with pytest.raises(ConfigurationError, match="did you mean 'camera_hz'"):
        gymnasium.make("handful/BlockLifting-v0", camera=5)
    with pytest.raises(ConfigurationError, match="unknown arm 'pandas': did you mean 'panda'"):
        gymnasium.make("handful/BlockLifting-v0", arm="pandas")
    with pytest.raises(ConfigurationError, match="block-lifting has no variants"):
        gymnasium.make("handful/BlockLifting-v0", variant="few")
    environment = gymnasium.make("handful/BlockLifting-v0", observation="state").unwrapped
    environment.reset(seed=0)
    with pytest.raises(ConfigurationError, match=r"expected an action of shape \(9,\)"):
        environment.step(np.zeros(3))
    with pytest.raises(ConfigurationError, match="expected 2 seeds"):
        gymnasium.make_vec("handful/BlockLifting-v0", num_envs=2, observation="state").reset(seed=[1])


@pytest.mark.slow
def test_stable_baselines_trains_on_pixels():
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    torch.set_num_threads(1)  # the networks are small, and other processes want the other cores
    environment = gymnasium.make("handful/BlockLifting-v0", image_size=36)
    learner = stable_baselines3.PPO("MultiInputPolicy", environment, n_steps=256, batch_size=64, n_epochs=2, seed=0)
    before = [parameter.detach().clone() for parameter in learner.policy.parameters()]
    learner.learn(2048)
    assert learner.num_timesteps == 2048 and len(learner.ep_info_buffer) == 20
    assert any((was != now).any() for was, now in zip(before, learner.policy.parameters(), strict=True))
    action, _ = learner.predict(environment.reset(seed=0)[0], deterministic=True)
    assert action.shape == (9,) and np.isfinite(action).all()
