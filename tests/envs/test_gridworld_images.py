"""Pictures of gridworlds: every thing is where the map has it, and looks like nothing else."""

import jax
import numpy as np
import pytest

import jaxrl_suite as jrl
from jaxrl_suite.envs import grid_image
from jaxrl_suite.envs.gridworld_images import COLOURS, FLOOR, STONE
from jaxrl_suite.errors import ConfigError


def cells(image, pixels):
    rows, columns = image.shape[0] // pixels, image.shape[1] // pixels
    return image.reshape(rows, pixels, columns, pixels, 3).swapaxes(1, 2)


def test_a_room():
    env, params = jrl.make("grid/empty-5")
    image = grid_image(env, pixels=20)
    assert (image.shape, image.dtype) == ((100, 100, 3), np.uint8)
    found = cells(image, 20)
    assert (found[0] == STONE).all()
    assert (found[3, 3] == COLOURS[1]).all()  # the goal, green
    np.testing.assert_array_equal(found[2, 2], found[3, 1])
    assert (found[2, 2][10, 10] == FLOOR).all()
    agent = found[1, 1]
    assert (agent[10, 10] == COLOURS[0]).all()
    red = np.all(agent == COLOURS[0], axis=-1)
    assert red[:, 4].sum() > 3 * red[:, 14].sum() > 0  # it points to the right
    # The picture of a later state: it has gone one cell on and turned to look down.
    _, state = env.reset(jax.random.key(0), params)
    for action in (2, 1):
        state = env.step(jax.random.key(0), state, action, params)[1]
    later = cells(grid_image(env, state, pixels=20), 20)
    np.testing.assert_array_equal(later[1, 1], found[2, 2])
    inside = slice(3, -3)  # of the lines between cells
    np.testing.assert_array_equal(later[1, 2][inside, inside], np.rot90(agent, -1)[inside, inside])


def test_things_look_different():
    env, params = jrl.make("grid/key-corridor")
    found = cells(grid_image(env), 32)[1, 1:6]  # key, door, agent, locked door, ball
    pictures = [picture.tobytes() for picture in found]
    assert len(set(pictures)) == 5
    assert (found[4][16, 16] == COLOURS[3]).all()
    lava = cells(grid_image(jrl.make("grid/lava-gap-5")[0]), 32)[1, 2]
    assert lava.tobytes() not in pictures
    _, state = env.reset(jax.random.key(0), params)
    doors = {cells(grid_image(env, state.replace(doors=np.array([0, how]))), 32)[1, 4].tobytes() for how in (0, 1, 2)}
    assert len(doors) == 3
    carried = cells(grid_image(env, state.replace(objects=state.objects.at[0].set(-1))), 32)
    assert (carried[1, 1][16, 16] == FLOOR).all()


def test_what_is_refused():
    with pytest.raises(ConfigError, match="pixels = 4: must be a whole number >= 8"):
        grid_image(jrl.make("grid/empty-5")[0], pixels=4)
