"""Running normalisation of observations and rewards over many copies of an environment.

Both wrap a `VectorEnv` (or each other) and keep its interface; their statistics live in the state, so they are saved,
resumed and differ from member to member. Statistics follow Chan et al. (1979): batches are merged exactly.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct

from jaxrl_suite.envs.vector import StepInputs, VectorStep


@struct.dataclass
class RunningMoments:
    """Mean, variance and count of everything seen. mean, variance: [...] of one sample; count: float scalar.

    The count starts at 1e-4 with mean 0 and variance 1, so that normalising is defined before any data.
    """

    mean: jax.Array
    variance: jax.Array
    count: jax.Array

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> "RunningMoments":
        """The moments before any data, of samples of this shape."""
        return cls(jnp.zeros(shape), jnp.ones(shape), jnp.full((), 1e-4))

    def merge(self, batch: jax.Array) -> "RunningMoments":
        """The moments with a batch [N, ...] added."""
        size = batch.shape[0]
        total = self.count + size
        shift = jnp.mean(batch, axis=0) - self.mean
        squares = self.variance * self.count + jnp.var(batch, axis=0) * size + shift**2 * self.count * size / total
        return RunningMoments(self.mean + shift * size / total, squares / total, total)

    def normalize(self, x: jax.Array, limit: float) -> jax.Array:
        """(x - mean) / std, clipped to +- limit."""
        return jnp.clip((x - self.mean) / jnp.sqrt(self.variance + 1e-8), -limit, limit)


class VectorEnvironment(Protocol):
    """`VectorEnv` or a wrapper of one; see `VectorEnv` for shapes."""

    num_envs: int

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, Any]: ...

    def draw(self, key: jax.Array, params: Any, num_steps: int) -> StepInputs: ...

    def step(self, state: Any, action: Any, params: Any, inputs: StepInputs) -> tuple[Any, VectorStep]: ...

    def observe(self, state: Any, observation: Any) -> Any: ...


@struct.dataclass
class NormalizedState:
    """State of the wrapped environment and the running moments of observations or of discounted returns."""

    inner: Any
    moments: RunningMoments


class NormalizeObservations:
    """Observations minus their running mean over their running standard deviation, clipped to +-10."""

    def __init__(self, vector: VectorEnvironment, limit: float = 10.0):
        self.vector, self.num_envs, self.limit = vector, vector.num_envs, limit

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, NormalizedState]:
        observation, inner = self.vector.reset(key, params)
        moments = RunningMoments.zeros(observation.shape[1:]).merge(observation)
        return moments.normalize(observation, self.limit), NormalizedState(inner, moments)

    def draw(self, key: jax.Array, params: Any, num_steps: int) -> StepInputs:
        return self.vector.draw(key, params, num_steps)

    def step(
        self, state: NormalizedState, action: Any, params: Any, inputs: StepInputs
    ) -> tuple[NormalizedState, VectorStep]:
        inner, step = self.vector.step(state.inner, action, params, inputs)
        moments = state.moments.merge(step.observation)
        normalized = step._replace(
            observation=moments.normalize(step.observation, self.limit),
            final_observation=moments.normalize(step.final_observation, self.limit),
        )
        return NormalizedState(inner, moments), normalized

    def observe(self, state: NormalizedState, observation: Any) -> Any:
        """One unbatched raw observation as the learner would see it."""
        return state.moments.normalize(self.vector.observe(state.inner, observation), self.limit)


@struct.dataclass
class ScaledState:
    """As NormalizedState, with the discounted return so far of each copy, [N]."""

    inner: Any
    moments: RunningMoments
    discounted_return: jax.Array


class ScaleRewards:
    """Rewards over the running standard deviation of the discounted return, clipped to +-10. Not centred."""

    def __init__(self, vector: VectorEnvironment, discount: Any, limit: float = 10.0):
        self.vector, self.num_envs, self.discount, self.limit = vector, vector.num_envs, discount, limit

    def reset(self, key: jax.Array, params: Any) -> tuple[Any, ScaledState]:
        observation, inner = self.vector.reset(key, params)
        return observation, ScaledState(inner, RunningMoments.zeros(()), jnp.zeros(self.num_envs))

    def draw(self, key: jax.Array, params: Any, num_steps: int) -> StepInputs:
        return self.vector.draw(key, params, num_steps)

    def step(self, state: ScaledState, action: Any, params: Any, inputs: StepInputs) -> tuple[ScaledState, VectorStep]:
        inner, step = self.vector.step(state.inner, action, params, inputs)
        discounted_return = state.discounted_return * self.discount + step.reward
        moments = state.moments.merge(discounted_return)
        scaled = jnp.clip(step.reward / jnp.sqrt(moments.variance + 1e-8), -self.limit, self.limit)
        carried = jnp.where(step.done, 0.0, discounted_return)
        return ScaledState(inner, moments, carried), step._replace(reward=scaled)

    def observe(self, state: ScaledState, observation: Any) -> Any:
        return self.vector.observe(state.inner, observation)
