"""A player of given actions, and where a colour is in a picture."""

import jax.numpy as jnp
import numpy as np

from jaxrl_suite.agent import Agent, AgentInfo


def scripted(env, params, actions):
    """Plays these actions one after another, the last for ever; its state is nothing."""
    listed = jnp.asarray(actions)

    def act(key, state, memory, observation, greedy):
        return listed[jnp.minimum(memory, len(listed) - 1)], memory + 1

    info = AgentInfo("scripted", env, params, None, 1, 1, scripted)
    return Agent(lambda key: (), lambda key, state, step: (state, {}), lambda key, state: jnp.int32(0), act, info)


def where(image, colour):
    """Pixels that have exactly this colour, float [N, 2]: to the right, and up, from the picture's middle."""
    rows, columns = np.nonzero(np.all(image == np.array(colour), axis=-1))
    height, width = image.shape[:2]
    return np.stack([columns + 0.5 - width / 2, height / 2 - rows - 0.5], axis=-1)


def angle(shift):
    """Of a shift [2] from upright, to the right."""
    return np.arctan2(*shift)


def cell(image, colour, pixels):
    """(row, column) of the only cell that has this colour in it, cells being so many pixels wide."""
    rows, columns = np.nonzero(np.all(image == np.array(colour), axis=-1))
    found = {(int(r), int(c)) for r, c in zip(rows // pixels, columns // pixels, strict=True)}
    assert len(found) == 1
    return found.pop()
