"""The convolutional torso is a convolution; the fully connected one reads numbers too."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.learning.networks import MLP, Conv


def test_the_torso_of_images_is_a_convolution_and_dense_layers():
    torso = Conv(channels=5, hidden_sizes=(7,), divisor=2.0)
    images = jax.random.uniform(jax.random.key(0), (2, 3, 6, 8, 4))
    params = torso.init(jax.random.key(1), (), images)
    memory, found = torso.apply(params, (), images)
    kernel = params["params"]["Dense_0"]["kernel"].reshape(3, 3, 4, 5)
    convolved = jax.lax.conv_general_dilated(
        images.reshape(6, 6, 8, 4) / 2.0, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    flat = jnp.maximum(convolved, 0.0).reshape(2, 3, -1)
    expected = jnp.maximum(flat @ params["params"]["Dense_1"]["kernel"], 0.0)
    assert memory == ()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_layers_are_normalised_before_their_activation():
    torso = Conv(channels=5, hidden_sizes=(7,), layer_norm=True)
    images = jax.random.uniform(jax.random.key(0), (2, 6, 6, 4))
    params = torso.init(jax.random.key(1), (), images)
    np.testing.assert_allclose(torso.apply(params, (), images)[1], torso.apply(params, (), 3.0 * images)[1], atol=1e-4)


def test_numbers_are_read_as_one_hot_vectors():
    """The same parameters from the same key, the same features, the same gradient."""
    numbers = jnp.array([[3, 0], [6, 3]])
    vectors = jax.nn.one_hot(numbers, 7)
    of_numbers, of_vectors = MLP((5, 4), num_states=7), MLP((5, 4))
    params = of_vectors.init(jax.random.key(0), (), vectors)
    jax.tree.map(np.testing.assert_array_equal, of_numbers.init(jax.random.key(0), (), numbers), params)

    def total(torso, observation):
        return lambda params: jnp.sum(jnp.cos(torso.apply(params, (), observation)[1]))

    found = jax.value_and_grad(total(of_numbers, numbers))(params)
    expected = jax.value_and_grad(total(of_vectors, vectors))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected)
