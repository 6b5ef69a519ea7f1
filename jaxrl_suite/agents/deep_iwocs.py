"""Deep IWOCS on DQN: a robust policy from a sequence of ordinary problems (`iwocs_sequence`), for discrete actions.

The learner of the paper (Zouitine, Geist, Rachelson, arXiv 2410.06212) is SAC (`sac_iwocs`). DQN's values have no
entropy, so one Q is enough; the predictor is a network of its own, trained on the replay buffer after each block, and
learns differences s' - s. `selection="action"` plays argmax_a min_i Q_i(s, a) of algorithm 1, which SAC cannot.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.dqn import DQNConfig, DQNState, dqn, q_network, restarted
from jaxrl_suite.agents.iwocs_sequence import SequenceSettings, Solver, check_sequence, least_valued, sequence_agent
from jaxrl_suite.agents.robust_blocks import PAPER, check_robust, learner_config, train_block
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.networks import MLP, Network, check_hidden_sizes
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.q_learning import check_discrete, epsilon_greedy, exploration, greedy_action
from jaxrl_suite.learning.replay import Experience, replay_of


@struct.dataclass
class DeepIWOCSConfig(SequenceSettings, DQNConfig):
    """Settings of deep IWOCS: DQN's, the search's, and its own. Floats can be swept."""

    predictor_rate: float = sweepable(1e-3, "step size of Adam of the predictor", source=PAPER, above=0)
    predictor_steps: int = static(250, "minibatches of the predictor in a block", low=1)
    predictor_sizes: tuple[int, ...] = static((64, 64), "widths of the predictor's hidden layers")
    selection: str = static(
        "kernel", "play what the kernel of the least value plays, or the action of the best least value",
        choices=("kernel", "action"),
    )  # fmt: skip

    def check(self) -> None:
        DQNConfig.check(self)
        check_sequence(self)
        check_hidden_sizes("DeepIWOCSConfig", self.predictor_sizes)
        if self.anneal_learning_rate and self.default_blocks != self.kernel_blocks:
            raise ConfigError(
                f"DeepIWOCSConfig.anneal_learning_rate = True: default_blocks = {self.default_blocks}: must be as "
                f"many as a kernel's, {self.kernel_blocks}"
            )


Initialise = Callable[[jax.Array], Any]
Surprise = Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]


class Kept(NamedTuple):
    """Parameters of Q_i, and of the predictor."""

    values: Any
    predictor: Any


@struct.dataclass
class DeepLearner:
    """dqn: its state. predictor: parameters, and Adam's state."""

    dqn: DQNState
    predictor: Any
    predictor_opt: Any


def one_step_predictor(env: Any, env_params: Any, config: DeepIWOCSConfig) -> tuple[Initialise, Surprise]:
    """new(key) -> parameters, and surprise(params, s, a, s') -> |T(s, a) - s'|_1, [...]: summed over an observation's
    entries."""
    num_actions, shape = int(env.action_space(env_params).n), env.observation_space(env_params).shape
    network = Network(MLP(config.predictor_sizes, "relu", 1), shape[0], 0.01)

    def inputs(observation: jax.Array, action: jax.Array) -> jax.Array:
        return jnp.concatenate([observation, jax.nn.one_hot(action, num_actions)], axis=-1)

    def new(key: jax.Array) -> Any:
        return network.init(key, (), inputs(jnp.zeros(shape), jnp.int32(0)))

    def surprise(params: Any, observation: jax.Array, action: jax.Array, following: jax.Array) -> jax.Array:
        outputs: Any = network.apply(params, (), inputs(observation, action))
        return jnp.sum(jnp.abs(observation + outputs[1] - following), axis=-1)

    return new, surprise


def _check(env: Any, env_params: Any, config: DeepIWOCSConfig) -> None:
    check_robust("deep_iwocs", env, env_params, check_discrete)


@agent_factory("deep_iwocs", DeepIWOCSConfig, _check)
def deep_iwocs(env: Any, env_params: Any, config: DeepIWOCSConfig) -> Agent:
    """Deep IWOCS on a `robust/` family with discrete actions. One update is one block of DQN."""
    settings = learner_config(DQNConfig, config, config.kernel_blocks * config.block_updates)
    shape, num_actions = env.observation_space(env_params).shape, int(env.action_space(env_params).n)
    network, q_values = q_network(env, env_params, config)
    new_predictor, surprise = one_step_predictor(env, env_params, config)
    adam, replay = optax.scale_by_adam(), replay_of(config)

    def new(keys: jax.Array) -> Kept:
        return Kept(network.init(keys[0], (), jnp.zeros(shape)), new_predictor(keys[1]))

    def init(key: jax.Array) -> DeepLearner:
        # The default policy has none, kernels bring their own, and to initialise is slow to compile.
        predictor = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(new_predictor, key))
        return DeepLearner(dqn(env, env_params, settings).init(key), predictor, adam.init(predictor))

    def restart(key: jax.Array, learner: DeepLearner, kept: Kept, params: Any) -> DeepLearner:
        fresh = restarted(key, learner.dqn, kept.values, env, params, settings)
        return DeepLearner(fresh, kept.predictor, adam.init(kept.predictor))

    def train(
        keys: jax.Array, learner: DeepLearner, params: Any, is_default: jax.Array, first: jax.Array
    ) -> tuple[DeepLearner, Metrics]:
        """A block of DQN, then of the predictor; the default policy needs none."""
        # Epsilon falls over the same part of the default policy's budget.
        longer = jnp.where(is_default, config.default_share, 1.0)
        fraction = settings.exploration_fraction * longer
        agent = dqn(env, params, dataclasses.replace(settings, exploration_fraction=fraction))  # type: ignore[type-var]
        trained, metrics = train_block(keys[0], agent, learner.dqn, first, config.block_updates)
        predictor, opt_state, error = jax.lax.cond(
            is_default, lambda *rest: (*rest, jnp.float32(jnp.nan)), lambda *rest: predict(keys[1], trained, *rest),
            learner.predictor, learner.predictor_opt,
        )  # fmt: skip
        return DeepLearner(trained, predictor, opt_state), metrics | {"loss/predictor": error}

    def predict(key: jax.Array, learner: DQNState, predictor: Any, opt_state: Any) -> tuple[Any, Any, jax.Array]:
        """Gradient steps of the predictor on the learner's replay buffer: parameters, Adam's state, mean error."""

        def loss(params: Any, batch: Experience) -> tuple[jax.Array, Metrics]:
            error = jnp.mean(surprise(params, batch.observation, batch.action, batch.next_observation))
            return error, {"loss/predictor": error}

        descend = gradient_step(loss, adam, config.predictor_rate)

        def one(carry: Any, key: jax.Array) -> Any:
            return descend(carry, (replay.sample(learner.buffer, key).experience,))

        keys = jax.random.split(key, config.predictor_steps)
        (predictor, opt_state), diagnostics = jax.lax.scan(one, (predictor, opt_state), keys)
        return predictor, opt_state, jnp.mean(diagnostics["loss/predictor"])

    def policy(kept: Kept, observation: jax.Array) -> jax.Array:
        return greedy_action(q_values(kept.values, observation))

    def choose(kept: Kept, is_valid: jax.Array, observation: jax.Array) -> jax.Array:
        values = jax.vmap(q_values, (0, None))(kept.values, observation)
        if config.selection == "kernel":
            return least_valued(jnp.max(values, axis=-1), is_valid, greedy_action(values))
        return greedy_action(jnp.min(jnp.where(is_valid[:, None], values, jnp.inf), axis=0))

    def explore(key: jax.Array, action: jax.Array) -> jax.Array:
        """With chance `final_epsilon` a random action."""
        return epsilon_greedy(exploration(key, (), config.final_epsilon), jax.nn.one_hot(action, num_actions))

    solver = Solver(
        new=new,
        init=init,
        restart=restart,
        train=train,
        keep=lambda learner: Kept(learner.dqn.params, learner.predictor),
        policy=policy,
        choose=choose,
        surprise=lambda kept, *step: surprise(kept.predictor, *step),
        sample=lambda key, learner: replay.sample(learner.dqn.buffer, key).experience,
        explore=explore,
        no_action=jnp.int32(0),
    )
    return sequence_agent("deep_iwocs", deep_iwocs, env, env_params, config, solver)
