import mujoco
import numpy as np

from handful import geometry


def test_products_of_quaternions_are_products_of_rotations():
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(2, 50, 4))
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    expected = np.empty((50, 4))
    for i in range(50):
        mujoco.mju_mulQuat(expected[i], left[i], right[i])
    np.testing.assert_allclose(geometry.multiply_quaternions(left, right), expected, atol=1e-12)


def test_a_rotation_vector_becomes_the_quaternion_of_its_axis_and_angle():
    generator = np.random.default_rng(1)
    vectors = np.concatenate([generator.normal(size=(20, 3)), np.zeros((1, 3)), np.full((1, 3), 1e-9)])
    for vector, quaternion in zip(vectors, geometry.quaternion_from_rotation_vector(vectors), strict=True):
        angle = np.linalg.norm(vector)
        axis = vector / angle if angle > 0 else np.array([1.0, 0.0, 0.0])
        expected = np.empty(4)
        mujoco.mju_axisAngle2Quat(expected, axis, angle)
        np.testing.assert_allclose(quaternion, expected, atol=1e-12)


def test_a_yaw_turns_x_towards_y():
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, geometry.yaw_quaternion(np.array(np.pi / 2)))
    np.testing.assert_allclose(rotation.reshape(3, 3) @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-12)


def test_the_rotation_error_turns_the_current_rotation_into_the_desired_one():
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(30, 3))
    vectors *= generator.uniform(0.0, 3.0, (30, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    current = _matrices(geometry.quaternion_from_rotation_vector(generator.normal(size=(30, 3))))
    desired = _matrices(geometry.quaternion_from_rotation_vector(vectors)) @ current
    np.testing.assert_allclose(geometry.rotation_error(current, desired), vectors, atol=1e-6)


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    matrices = np.empty((len(quaternions), 9))
    for matrix, quaternion in zip(matrices, quaternions, strict=True):
        mujoco.mju_quat2Mat(matrix, quaternion)
    return matrices.reshape(-1, 3, 3)
