import av
import pytest

from handful.errors import ConfigurationError
from handful.learning.actors import RandomActor
from handful.learning.evaluation import evaluate_policy
from handful.tasks.environment import TaskEnvironment
from handful.viewing.filming import film_policy


def test_a_film_does_not_change_the_evaluation(tmp_path):
    results = []
    for path in (None, tmp_path / "film.mp4"):
        environment = TaskEnvironment("block-lifting", num_envs=2)
        actor = RandomActor(environment.spec, seed=0)
        if path is None:
            results.append(evaluate_policy(actor, environment, num_episodes=3, seed=7))
        else:
            results.append(film_policy(actor, environment, path, num_episodes=3, seed=7))
        environment.close()
    assert results[0] == results[1]
    with av.open(str(tmp_path / "film.mp4")) as container:
        num_frames = sum(1 for _ in container.decode(video=0))
    # The start, 100 control steps and one second of reading; the third episode belongs to another round.
    assert num_frames == 101 + 20


def test_a_film_of_another_ending_is_refused_before_an_episode(tmp_path):
    environment = TaskEnvironment("block-lifting", num_envs=1)
    with pytest.raises(ConfigurationError, match=r"expected the name of a video to end in \.mp4"):
        film_policy(RandomActor(environment.spec, seed=0), environment, tmp_path / "film.gif", num_episodes=1, seed=0)
    environment.close()
