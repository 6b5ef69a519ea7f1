"""The convolutional torso is a convolution."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.learning.networks import Conv


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
