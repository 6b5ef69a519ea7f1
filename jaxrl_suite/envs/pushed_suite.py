"""The control suite's tasks in MuJoCo-MJX with bodies that can be pushed, `make("pushed/cheetah-run")`.

They need the extra `brax`: MuJoCo-MJX, and the suite's models, read as files from an installed dm-control, which that
extra has on Python 3.12 only. Observations and rewards are the suite's: of where a step leads, and touch as of its last
physics step. Forces act at a body's centre of mass along axes of the world, in all physics steps of a control step.

What differs from the suite:

  solver     at most 20 iterations and as many line-search steps, where MuJoCo has 100 and 50 (`made` takes others);
             float32
  friction   is always written into all geoms: where the cheetah touches itself it is 1.0 like the floor's, not 0.4
  contacts   of the ball with the cup are MJX's: along a wall they are off by up to 0.04 % of its length
  ball, cup  of another mass are heavier and slower to move; MuJoCo in C changes their weight alone, as bodies that only
             slide keep the inertia that they were compiled with
  settling   of the cheetah: all 200 steps are of the pose drawn, where the suite's first has forces of the model's own

A start of the cheetah takes as many physics steps as two seconds of play, wherever starts are drawn for every step.

A mass is written as it is: inertia stays, and so does the total that the torso's measured velocity is divided by, as in
Reddi et al. 2024 (arXiv 2311.01642). With the cheetah's torso at 9 kg speed is told 1.196 times as high as it is, at
3 kg 0.768 times. `make(..., corrected=True)` divides by the true total.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs import control_suite, physics
from jaxrl_suite.envs.control_suite import SuiteBody
from jaxrl_suite.envs.mjx_env import load, written
from jaxrl_suite.envs.pushed import PushedEnv
from jaxrl_suite.envs.robust_control import Ranges
from jaxrl_suite.errors import ConfigError


class SuiteEnv(PushedEnv):
    """One of the tasks. Made by `made`.

    Attributes:
        task: what it is. model: the `mujoco.MjModel`, without any change of parameters.
    """

    def __init__(self, name: str, model: Any, mjx: Any, is_corrected: bool):
        self.id, self.model, self.is_corrected, self._mjx = name, model, is_corrected, mjx
        self.task, _ = control_suite.TASKS[name]
        self.default_params = physics.nominal(self.task.physics, model)
        self.actions, self.observed = model.nu, self.task.observed
        self.pushes = len(self.task.pushed) * len(self.task.axes)
        self._pushed = np.array([model.body(body).id for body in self.task.pushed])
        self._model = mjx.put_model(model, impl="jax")
        self._blank = mjx.make_data(model, impl="jax")

    def written(self, params: Any) -> Any:
        """MJX's model under these parameters."""
        model = written(self.task.physics, self._model, params)
        if not self.is_corrected:
            return model
        # Of the world and of the torso: the whole of a robot.
        return model.replace(body_subtreemass=model.body_subtreemass.at[:2].set(jnp.sum(model.body_mass)))

    def _start(self, key: jax.Array, params: Any) -> SuiteBody:
        qpos, target = self.task.start(key, self.model)
        model, data = self.written(params), self._blank.replace(qpos=qpos)
        data = self._after(model, data, self.task.settling)
        return self._body(model, self._mjx.forward(model, data), target)

    def _moved(self, body: SuiteBody, action: jax.Array, force: jax.Array, params: Any) -> SuiteBody:
        model = self.written(params)
        external = self.external(force)
        data = self._blank.replace(
            qpos=body.qpos, qvel=body.qvel, qacc_warmstart=body.warm_start, ctrl=action, xfrc_applied=external
        )
        return self._body(model, self._after(model, data, self.task.substeps), body.target)

    def external(self, force: jax.Array) -> jax.Array:
        """Forces and torques on all bodies, [B, 6], of a force [k]."""
        place = self._pushed[:, None], np.array(self.task.axes)
        return jnp.zeros_like(self._blank.xfrc_applied).at[place].set(force.reshape(len(self._pushed), -1))

    def _after(self, model: Any, data: Any, steps: int) -> Any:
        """MJX's data after so many physics steps, which need no sensors."""
        blind = model.tree_replace({"opt.disableflags": model.opt.disableflags | self._mjx.DisableBit.SENSOR})

        def step(_: Any, data: Any) -> Any:
            # In float64 MJX makes other integers of a tendon's indices.
            return jax.tree.map(lambda new, old: new.astype(old.dtype), self._mjx.step(blind, data), data)

        return jax.lax.fori_loop(0, steps, step, data) if steps else data

    def _body(self, model: Any, data: Any, target: Any) -> SuiteBody:
        if self.task.has_touch:
            # Of the forces in the last physics step, before anything is brought up to where that step went.
            data = self._mjx.sensor_acc(model, data)
        data = self._mjx.com_vel(model, self._mjx.com_pos(model, self._mjx.kinematics(model, data)))
        if self.task.has_speed:
            data = self._mjx.subtree_vel(model, data)
        sensed = self.task.sense(self.model, data, target)
        return SuiteBody(data.qpos, data.qvel, data.qacc_warmstart, target, sensed)

    def _seen(self, body: SuiteBody) -> jax.Array:
        return jnp.concatenate(self.task.observe(body))

    def _reward(self, body: SuiteBody, action: jax.Array, force: jax.Array, params: Any) -> jax.Array:
        return self.task.reward(body.sensed, action)


def made(name: str, corrected: bool = False, iterations: int = 20, line_search: int = 20) -> SuiteEnv:
    """A task of `TASKS`.

    Args:
        corrected: speeds are divided by the true total mass; only where there are any.
        iterations, line_search: of the solver, as of `mjx_env.load`.

    Raises:
        ConfigError: as `mjx_env.load`, and for `corrected` without speeds.
    """
    id, (task, _) = f"pushed/{name}", control_suite.TASKS[name]
    if corrected and not task.has_speed:
        raise ConfigError(f"{id}: corrected = {corrected!r}: no speed is measured here")
    for package in PACKAGES:
        physics.needs(id, package)
    model, mjx = load(id, "dm_control", f"suite/{task.file}.xml", iterations, line_search)
    return SuiteEnv(name, model, mjx, corrected)


PACKAGES = (physics.PACKAGES["mjx"], "dm-control")
"""What must be installed."""

OPTIONS = ("corrected", "iterations", "line_search")
"""Arguments of `made` beside the name."""

TASKS: dict[str, tuple[Callable[..., PushedEnv], Ranges]] = {
    name: (made, ranges) for name, (_, ranges) in control_suite.TASKS.items()
}
"""By name: what makes it, of the name, and the two parameters that robustness is judged over."""
