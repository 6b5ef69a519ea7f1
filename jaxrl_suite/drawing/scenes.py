"""One moment of an episode, and how a wrapper's moment becomes one of what it wraps."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl_suite.envs.adapter import AdaptedEnv
from jaxrl_suite.envs.adversaries import ChosenKernels, MovedKernels, PushedBodies
from jaxrl_suite.envs.robust_control import RobustEnv
from jaxrl_suite.envs.seated import SeatedEnv
from jaxrl_suite.envs.table_env import TableEnv
from jaxrl_suite.envs.wrappers import DiscretizedActions, EpisodeStatistics, StickyActions, TimeLimit
from jaxrl_suite.errors import ConfigError


class Scene(NamedTuple):
    """A moment, arrays on the host. observation: the outermost environment's. action: what is done in it, None at the
    end of an episode. before: the state before it and the action that was done there, None at the start."""

    env: Any
    params: Any
    state: Any
    observation: Any = None
    action: Any = None
    before: tuple[Any, Any] | None = None


class Kind(NamedTuple):
    """How environments of a class are drawn.

    draw: of the innermost scene, uint8 [H, W, 3], the same shape throughout an episode.
    seconds: simulated seconds a step, or how long a step is to be seen, of the environment and its parameters.
    serves: whether this one of the class can be drawn.
    """

    draw: Callable[[Scene], np.ndarray]
    seconds: Callable[[Any, Any], float]
    serves: Callable[[Any], bool] = lambda env: True


def every(seconds: float) -> Callable[[Any, Any], float]:
    """The same for all."""
    return lambda env, params: seconds


def innermost(scene: Scene) -> Scene:
    """The moment as the environment under all wrappers has it; the observation stays the outermost one's."""
    while _is_around(scene.env):
        scene = _INNER[type(scene.env)](scene)
    return scene


def innermost_env(env: Any) -> Any:
    while _is_around(env):
        table = getattr(env, "original", None)
        env = env.env if table is None else table.env
    return env


def _is_around(env: Any) -> bool:
    return type(env) in _INNER and getattr(env, "original", env) is not None


def _inner(scene: Scene, in_params: bool, in_state: bool) -> Scene:
    scene = scene._replace(env=scene.env.env, params=scene.params.env if in_params else scene.params)
    if not in_state:
        return scene
    before = None if scene.before is None else (scene.before[0].env, scene.before[1])
    return scene._replace(state=scene.state.env, before=before)


def _sticky(scene: Scene) -> Scene:
    """With the action that was executed, whatever was asked for."""
    executed = scene.state.last_action
    scene = _inner(scene, in_params=True, in_state=True)
    return scene if scene.before is None else scene._replace(before=(scene.before[0], executed))


def _written_out(scene: Scene) -> Scene:
    """As the environment has it that the table was made of. All ends are one number: which it was, the step tells."""
    found, number = scene.env.original, int(scene.state[0])
    if number < len(jax.tree.leaves(found.states)[0]):
        state = jax.tree.map(lambda x: x[number], found.states)
    elif scene.before is None:
        raise ConfigError(f"{scene.env.id}: state {number} stands for every end of an episode: it has no picture")
    else:
        before = jax.tree.map(lambda x: x[int(scene.before[0][0])], found.states)
        after = found.env.transition(jax.random.key(0), before, scene.before[1], found.params)[1]
        state = jax.device_get(after)
    return scene._replace(env=found.env, params=found.params, state=state, before=None)


def _of_kernel(scene: Scene) -> Scene:
    """With the physical parameters that the episode's kernel sets."""
    written = scene.env.written(scene.params, scene.state.kernel)
    return scene._replace(env=scene.env.env, params=written, state=scene.state.env)


def _pushed(scene: Scene) -> Scene:
    """With the push that is part of the action: the state itself forgets it with the step."""
    state = scene.state
    if scene.action is not None:
        push = np.asarray(scene.action)[scene.env.actions :]
        state = state.replace(env=state.env.replace(push=push))
    return scene._replace(env=scene.env.env, state=state)


_INNER: dict[type, Callable[[Scene], Scene]] = {
    AdaptedEnv: lambda scene: scene._replace(env=scene.env.env),
    DiscretizedActions: functools.partial(_inner, in_params=False, in_state=False),
    EpisodeStatistics: functools.partial(_inner, in_params=False, in_state=True),
    StickyActions: _sticky,
    TimeLimit: functools.partial(_inner, in_params=True, in_state=True),
    SeatedEnv: functools.partial(_inner, in_params=True, in_state=True),
    ChosenKernels: functools.partial(_inner, in_params=True, in_state=False),
    MovedKernels: functools.partial(_inner, in_params=False, in_state=False),
    PushedBodies: _pushed,
    RobustEnv: _of_kernel,
    TableEnv: _written_out,
}
