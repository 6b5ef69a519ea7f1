"""What tests of agents that learn from replay do to their states, and a family of kernels whose worst is known."""

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces

from jaxrl_suite.envs.base import BaseEnv
from jaxrl_suite.envs.robust_control import Family, RobustEnv


def quick(function):
    """Compiled with little optimisation: compiling takes longer than these runs."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def constant(params, value):
    """Parameters of a network, or of twins, whose outputs are these whatever they are given."""
    params = jax.tree.map(jnp.zeros_like, params)
    head = params["params"]["Dense_0"]
    head = head.get("Dense_0", head)
    head["bias"] = jnp.asarray(value, jnp.float32).reshape(head["bias"].shape)
    return params


def changed(state, **parts):
    return state.replace(learned=state.learned.replace(**parts))


def linear_critics(critics, weights, offset=8.0):
    """Parameters of twins of one hidden unit that say weights . (s, a, ...), of all inputs, while it is above -8."""
    critics = jax.tree.map(jnp.zeros_like, critics)
    hidden = critics["params"]["MLP_0"]["Dense_0"]
    hidden["kernel"] = jnp.tile(jnp.asarray(weights, jnp.float32)[None, :, None], (2, 1, 1))
    hidden["bias"] = jnp.full((2, 1), offset)
    head = critics["params"]["Dense_0"]["Dense_0"]
    head["kernel"], head["bias"] = jnp.ones((2, 1, 1)), jnp.full((2, 1), -offset)
    return critics


@struct.dataclass
class SlopeParams:
    """psi: of the reward. idle: of nothing."""

    psi: float = 1.0
    idle: float = 2.0
    max_steps_in_episode: int = 10


class _Slope(BaseEnv):
    """Two numbers a, b in [-1, 1] give (2 - psi) a - a^2, and lead nowhere; what is seen is 0.25."""

    id = "test/slope"
    default_params = SlopeParams()

    def observation_space(self, params):
        return spaces.Box(-1.0, 1.0, (1,), jnp.float32)

    def action_space(self, params):
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32)

    def _reset(self, key, params):
        return jnp.full(1, 0.25), jnp.int32(0)

    def _advance(self, key, state, action, params):
        reward = (2.0 - params.psi) * action[0] - action[0] ** 2
        return jnp.full(1, 0.25), state + 1, reward, False, state + 1 >= params.max_steps_in_episode, {}


class Slope(RobustEnv):
    """psi in [0.5, 1.5], idle in [1, 5].

    Against uniform or nominal kernels a = 1/2 is best; of the worst kernel, psi = 1.5 for all a > 0, it is a = 1/4.
    """

    def __init__(self):
        family = Family({"psi": (0.5, 1.5), "idle": (1.0, 5.0)})
        super().__init__(_Slope(), "test/slope", family, ("psi", "idle"))


SLOPE = Slope()

LEARNING = {
    "num_envs": 8, "batch_size": 64, "buffer_size": 8000, "learning_starts": 400, "hidden_sizes": (32,),
    "actor_rate": 3e-3, "critic_rate": 1e-2, "polyak": 0.1, "discount": 0.0,
}  # fmt: skip


def trained(agent, count):
    """(greedy actions [5, 2], states [5]) of five seeds of an agent of SLOPE after so many updates."""

    def run(key):
        def update(state, step):
            return agent.update(jax.random.fold_in(key, step), state, step)[0], None

        state = jax.lax.scan(update, agent.init(key), jnp.arange(count))[0]
        return agent.act(key, state, (), jnp.full(1, 0.25), True)[0], state

    return quick(jax.vmap(run))(jax.random.split(jax.random.key(0), 5))
