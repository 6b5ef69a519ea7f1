"""Deep NORA: the three ideas of NORA (`nora`) on neural networks. This suite's own, not an algorithm of the paper.

  optimism      f = the mean of an ensemble of Q-networks plus b times its standard deviation; to each member a random
                network that is never trained is added, so that members disagree where there are no data (Osband,
                Aslanides, Cassirer 2018, arXiv 1806.03335)
  rare switch   members learn in every update, towards Q*, from all that was played; what the actor sees, f, is a copy
                of them that is replaced only when the data have grown, by log det Lambda of random features
  reset         the actor is softmax(eta n f), n updates after the last switch: uniform at first

Learning in the background costs what it costs, however rare switches are: under `vmap` over seeds nothing is skipped,
and a switch is no more than a copy.

Symbols: E members, A actions, d random features; eta the actor's step size, b the bonus, lambda the ridge.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.vector import VectorEnv, episode_metrics, play
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.batching import small_products
from jaxrl_suite.learning.networks import ACTIVATIONS, TORSOS, Network, check_hidden_sizes, torso_of
from jaxrl_suite.learning.optimisation import clipped, gradient_step
from jaxrl_suite.learning.q_learning import check_discrete, greedy_action, value_of
from jaxrl_suite.learning.replay import Experience, empty_replay, experience_of, replay_of, td_target

PRIORS = "bsuite's bootstrapped DQN"


@struct.dataclass
class DeepNORAConfig:
    """Settings of deep NORA. Floats can be swept; everything else selects a program."""

    learning_rate: float = sweepable(1e-3, "step size of Adam", symbol="alpha", source=PRIORS, above=0)
    discount: float = sweepable(0.99, "discount factor", symbol="gamma", source=PRIORS, low=0, high=1)
    step_size: float = sweepable(10.0, "of mirror ascent", symbol="eta", above=0)
    bonus: float = sweepable(1.0, "multiplies the members' standard deviation", symbol="b", low=0)
    prior_scale: float = sweepable(5.0, "multiplies the untrained networks", source=PRIORS, low=0)
    growth: float = sweepable(5.0, "of log det Lambda since the last switch, beyond which to switch", low=0)
    ridge: float = sweepable(1.0, "Lambda before any data, times the identity", symbol="lambda", above=0)
    max_grad_norm: float = sweepable(10.0, "limit on the global norm of the gradient", above=0)
    total_updates: int = static(2500, "budget: updates", unit="updates", low=1)
    num_envs: int = static(8, "parallel environments", symbol="N", unit="environments", low=1)
    rollout_length: int = static(10, "steps an environment and update", symbol="T", unit="steps", low=1)
    gradient_steps: int = static(8, "minibatches an update", low=1)
    batch_size: int = static(128, "transitions a minibatch", source=PRIORS, unit="transitions", low=1)
    buffer_size: int = static(100_000, "transitions kept", unit="transitions", low=1)
    target_period: int = static(4, "updates between copies to the target networks", unit="updates", low=1)
    members: int = static(8, "networks of the ensemble", symbol="E", low=1)
    resets: bool = static(True, "the actor becomes uniform with every switch")
    hidden_sizes: tuple[int, ...] = static((64, 64), "widths of the hidden layers")
    activation: str = static("relu", "activation of the torso", choices=tuple(ACTIVATIONS))
    torso: str = static("mlp", "fully connected, or one convolution of 16 channels first", choices=TORSOS)
    module: nn.Module | None = static(None, "a flax module that takes the torso's place (see learning/networks.py)")
    truncation_is_termination: bool = static(False, "treat a time limit as an end; biases the value")
    reset_pool: int = static(
        0, "fresh starts drawn a step for all environments; 0: one each (see envs/vector.py)", low=0
    )

    def check(self) -> None:
        check_hidden_sizes("DeepNORAConfig", self.hidden_sizes)
        steps = self.num_envs * self.rollout_length
        if self.buffer_size < max(self.batch_size, steps):
            raise ConfigError(
                f"DeepNORAConfig.buffer_size = {self.buffer_size}: must hold batch_size = {self.batch_size} "
                f"transitions and an update's num_envs * rollout_length = {steps}"
            )
        if hasattr(self.module, "initial_memory"):
            raise ConfigError("DeepNORAConfig.module: must have no memory; single transitions are replayed")


@struct.dataclass
class DeepState:
    """members: the ensemble's parameters [E], targets: their copies; seen: those of the actor's f. priors: the
    untrained networks [E]; features: the untrained torso of Lambda. steps: n. covariance: Lambda, a block an action,
    [A, d, d]; log_volume: its log det at the last switch. buffer; environments and what they show, [N, ...]."""

    members: Any
    targets: Any
    seen: Any
    priors: Any
    features: Any
    opt_state: Any
    steps: jax.Array
    covariance: jax.Array
    log_volume: jax.Array
    buffer: Any
    env: Any
    observation: Any


def _check(env: Any, env_params: Any, config: DeepNORAConfig) -> None:
    check_discrete("nora_deep", env, env_params)


@agent_factory("nora_deep", DeepNORAConfig, _check)
def nora_deep(env: Any, env_params: Any, config: DeepNORAConfig) -> Agent:
    """Deep NORA on `env`. One update is a rollout, `gradient_steps` minibatches of all data, and perhaps a switch."""
    vector = VectorEnv(env, config.num_envs, config.reset_pool)
    num_actions = int(env.action_space(env_params).n)
    torso = torso_of(config, env.observation_space(env_params))
    network = Network(torso, num_actions, 1.0)
    optimizer = clipped(config.max_grad_norm, optax.scale_by_adam(eps=1e-8))
    replay = replay_of(config)

    def values(members: Any, priors: Any, observation: Any) -> jax.Array:
        """Q of every member, [E, ..., A]."""

        def one(params: Any, prior: Any) -> jax.Array:
            learnt: Any = network.apply(params, (), observation)
            fixed: Any = network.apply(prior, (), observation)
            return learnt[1] + config.prior_scale * jax.lax.stop_gradient(fixed[1])

        return jax.vmap(one)(members, priors)

    def optimistic(state: DeepState, observation: Any) -> jax.Array:
        """f, [..., A]."""
        q = values(state.seen, state.priors, observation)
        return jnp.mean(q, axis=0) + config.bonus * jnp.std(q, axis=0)

    def init(key: jax.Array) -> DeepState:
        key_env, key_members, key_priors, key_features = jax.random.split(key, 4)
        observation, env_state = vector.reset(key_env, env_params)

        def ensemble(key: jax.Array) -> Any:
            return jax.vmap(lambda k: network.init(k, (), observation))(jax.random.split(key, config.members))

        members, priors = ensemble(key_members), ensemble(key_priors)
        features = torso.init(key_features, (), observation)
        size = features_of(features, observation).shape[-1]
        covariance = jnp.tile(config.ridge * jnp.eye(size), (num_actions, 1, 1))
        state = DeepState(
            members=members,
            targets=members,
            seen=members,
            priors=priors,
            features=features,
            opt_state=optimizer.init(members),
            steps=jnp.zeros((), jnp.int32),
            covariance=covariance,
            log_volume=log_volume(covariance),
            buffer=None,
            env=env_state,
            observation=observation,
        )
        shapes = jax.eval_shape(collect, key, state)[1]
        return dataclasses.replace(state, buffer=empty_replay(replay, shapes))

    def features_of(params: Any, observation: Any) -> jax.Array:
        """Random features of norm one, [..., d]."""
        outputs: Any = torso.apply(params, (), observation)
        return outputs[1] / (jnp.linalg.norm(outputs[1], axis=-1, keepdims=True) + 1e-6)

    def log_volume(covariance: jax.Array) -> jax.Array:
        # Of positive definite matrices, by their Cholesky factors.
        diagonal = jnp.diagonal(jnp.linalg.cholesky(covariance), axis1=-2, axis2=-1)
        return 2.0 * jnp.sum(jnp.log(diagonal))

    def update(key: jax.Array, state: DeepState, step: jax.Array) -> tuple[DeepState, Metrics]:
        key_collect, key_sample = jax.random.split(key)
        state, experience, metrics = collect(key_collect, state)
        buffer = replay.add(state.buffer, experience)
        batches = jax.vmap(replay.sample, (None, 0))(buffer, jax.random.split(key_sample, config.gradient_steps))
        members, opt_state, diagnostics = small_products(learn)(
            state.members, state.opt_state, state.targets, state.priors, batches.experience
        )
        is_due = (step + 1) % config.target_period == 0
        targets = jax.tree.map(lambda new, old: jnp.where(is_due, new, old), members, state.targets)
        changed = {"members": members, "targets": targets, "opt_state": opt_state, "buffer": buffer}
        state, switches = switch(dataclasses.replace(state, **changed), experience)
        return state, metrics | diagnostics | {"switch/count": switches.astype(jnp.int32)}

    def collect(key: jax.Array, state: DeepState) -> tuple[DeepState, Experience, Metrics]:
        """A rollout of the actor: softmax(eta n f), drawn by Gumbel's noise."""
        key_noise, key_env = jax.random.split(key)
        noise = jax.random.gumbel(key_noise, (config.rollout_length, config.num_envs, num_actions))
        inputs = vector.draw(key_env, env_params, config.rollout_length)

        def choose(noise_t: jax.Array, observation: Any) -> jax.Array:
            return greedy_action(config.step_size * state.steps * optimistic(state, observation) + noise_t)

        (env_state, last), played = play(vector, env_params, choose, (state.env, state.observation), noise, inputs)
        experience = experience_of(played, config.truncation_is_termination)
        state = dataclasses.replace(state, env=env_state, observation=last)
        return state, experience, episode_metrics(played.steps)

    def learn(members: Any, opt_state: Any, targets: Any, priors: Any, batches: Experience) -> tuple[Any, Any, Metrics]:
        """One gradient step a minibatch; `batches` is [gradient_steps, B]. Every member has a target of its own."""
        descend = gradient_step(loss, optimizer, config.learning_rate)

        def one_batch(carry: tuple[Any, Any], batch: Experience) -> tuple[Any, Metrics]:
            following = values(targets, priors, batch.next_observation)
            target = jax.vmap(lambda q: td_target(batch, q, q, config.discount))(following)
            return descend(carry, (priors, batch, target))

        (members, opt_state), diagnostics = jax.lax.scan(one_batch, (members, opt_state), batches)
        return members, opt_state, jax.tree.map(jnp.mean, diagnostics)

    def loss(members: Any, priors: Any, batch: Experience, target: jax.Array) -> tuple[jax.Array, Metrics]:
        """Half the squared temporal difference: mean over the minibatch, sum over members."""
        q = values(members, priors, batch.observation)
        value = value_of(q, batch.action)
        squared = jnp.mean((value - target) ** 2, axis=-1)
        spread = jnp.mean(jnp.std(value, axis=0))
        return 0.5 * jnp.sum(squared), {"loss/td": jnp.mean(squared), "ensemble/deviation": spread}

    def switch(state: DeepState, experience: Experience) -> tuple[DeepState, jax.Array]:
        """Counts the data, and if they have grown shows the actor the members as they are now."""
        features = features_of(state.features, experience.observation)
        of_action = jax.nn.one_hot(experience.action, num_actions)
        covariance = state.covariance + jnp.einsum("tna,tnd,tne->ade", of_action, features, features)
        volume = log_volume(covariance)
        switches = volume - state.log_volume > config.growth
        steps = jnp.where(switches, 0, state.steps + 1) if config.resets else state.steps + 1
        changed = {
            "seen": jax.tree.map(lambda new, old: jnp.where(switches, new, old), state.members, state.seen),
            "steps": steps.astype(jnp.int32),
            "covariance": covariance,
            "log_volume": jnp.where(switches, volume, state.log_volume),
        }
        return dataclasses.replace(state, **changed), switches

    def start(key: jax.Array, state: DeepState) -> Any:
        return ()

    def act(key: jax.Array, state: DeepState, memory: Any, observation: Any, greedy: bool) -> tuple[Any, Any]:
        """The best action by the members' mean as they are now; if not `greedy`, the actor's."""
        if greedy:
            return greedy_action(jnp.mean(values(state.members, state.priors, observation), axis=0)), memory
        scores = config.step_size * state.steps * optimistic(state, observation)
        return jax.random.categorical(key, scores).astype(jnp.int32), memory

    steps = config.num_envs * config.rollout_length
    info = AgentInfo("nora_deep", env, env_params, config, steps, config.total_updates, nora_deep)
    return Agent(init, update, start, act, info)
