"""Max-min TD3: a policy against the worst of its critic's kernels (Tanabe et al. 2022, arXiv 2211.03413).

  critics    twins Q_i(s, a, omega), of the kernel omega that the step was made under;
             y = r + gamma min_i Q_i^target(s', a', omega'), a' as in TD3, omega' = clip(omega + clip(e, -c, c))
  adversary  K candidates omega_k = low + (high - low) sigmoid(theta_k) with an Adam each, drawn with probabilities p_k;
             J_k = E[Q_1(s, mu(s), omega_k)], k* = argmin_k J_k (the later of equals)
  a turn     every `policy_period` minibatches: theta_k* descends J_k*, and the actor ascends J_k*, or with `soft`
             sum_k p_k J_k (SoftM2TD3), both at what the other was; p goes 1/L of the way to k*; all targets move
  play       an episode's kernel is clip(omega_k + e), k ~ p, and fixed; mu(s) and one normal number in all dimensions
  restarts   when an episode has ended, of two candidates that are close the earlier, and then any that is improbable,
             is drawn anew, and its p_k is the mean of the others'

Kernels are scaled to [-1, 1]^d throughout (`envs/adversaries.py`), so noise is in halves of a range.

Constants are the authors' code's; where it and the paper differ, the code is followed. Different from it, on purpose:
  scale     it shows omega to the critics, and measures distances between candidates, in the parameters' own units,
            which suits ranges of about 3; here in half ranges, which suit any
  time      L is the mean length of the episodes that ended last, over all environments, and restarts come once an
            update. The next kernels are drawn before an update's rollout: those that follow from a restart come an
            update later
  ends      truncation is bootstrapped through; `truncation_is_termination` is the code's way
  noise     actions are clipped to their bounds before they are stored
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxrl_suite.agent import Agent, Metrics, agent_factory
from jaxrl_suite.agents.off_policy import (
    Arena,
    Critic,
    Learner,
    bootstrapped,
    check_box,
    joined,
    off_policy_agent,
    replaced,
    skipped,
)
from jaxrl_suite.agents.robust_blocks import check_robust
from jaxrl_suite.agents.td3 import TD3Config, TD3Learned, smoothing_noise, td3_parts
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.adversaries import ChosenKernels, ChosenParams, Seen, kernel_at
from jaxrl_suite.envs.vector import VectorStep
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.optimisation import gradient_step
from jaxrl_suite.learning.replay import Experience
from jaxrl_suite.selection import select

CODE = "akimotolab/M2TD3"


@struct.dataclass
class M2TD3Config(TD3Config):
    """Settings of M2TD3. Floats can be swept; everything else selects a program."""

    kernel_rate: float = sweepable(3e-4, "step size of each candidate's Adam", source=CODE, above=0)
    kernel_noise: float = sweepable(
        1.0, "standard deviation of the noise on an episode's kernel", unit="half ranges", source=CODE, low=0
    )
    last_kernel_noise: float = sweepable(
        0.1, "if soft: what that falls to, linearly, over half of the updates from learning's start on",
        unit="half ranges", source=CODE, low=0,
    )  # fmt: skip
    closest: float = sweepable(
        0.1, "candidates at most so far apart, in L1, are too close", unit="half ranges", source=CODE, low=0
    )
    least_probability: float = sweepable(
        0.05, "candidates drawn less often are improbable", symbol="p_k", source=CODE, low=0, high=1
    )
    soft: bool = static(False, "the actor ascends the mean over the candidates, not the worst: SoftM2TD3", source=CODE)
    candidates: int = static(5, "kernels of the adversary", symbol="K", source=CODE, low=2)
    batch_size: int = static(100, "transitions a minibatch", unit="transitions", source=CODE, low=1)
    learning_starts: int = static(
        100_000, "play at random, under uniform kernels, and do not learn before", unit="environment steps",
        source=CODE, low=0,
    )  # fmt: skip

    def check(self) -> None:
        super().check()
        if not self.least_probability < 1.0 / self.candidates:
            raise ConfigError(
                f"{type(self).__name__}.least_probability = {self.least_probability:g}: must be below 1 / candidates = "
                f"{1.0 / self.candidates:g}"
            )


@struct.dataclass
class KernelAdversary:
    """theta: [K, d]; opt: the Adams' states, [K, ...]. probability: p, [K]. length: L, in steps."""

    theta: jax.Array
    opt: Any
    probability: jax.Array
    length: jax.Array


@struct.dataclass
class M2TD3Learned(TD3Learned):
    """TD3's, and the adversary."""

    adversary: KernelAdversary


def m2td3_learner(env: Any, env_params: Any, config: M2TD3Config) -> Learner:
    """M2TD3 in the arena `ChosenKernels(env)`."""
    rank, count_k, dimensions = len(env.observation_space(env_params).shape), config.candidates, len(env.names)
    # To the critics, action and kernel are one input.
    critic = Critic(config.hidden_sizes, config.activation, rank, 1)
    parts, adam = td3_parts(env, env_params, config, critic), optax.scale_by_adam(eps=config.adam_epsilon)

    def new(key: jax.Array, seen: Seen, action: jax.Array) -> M2TD3Learned:
        key_td3, key_kernels = jax.random.split(key)
        learned = parts.new(key_td3, seen.own, beside(action, seen.kernel))
        length = jnp.asarray(env_params.max_steps_in_episode, jnp.float32)
        probability = jnp.full(count_k, 1.0 / count_k)
        adversary = KernelAdversary(*fresh_candidates(key_kernels), probability, length)
        return M2TD3Learned(**vars(learned), adversary=adversary)

    def beside(action: jax.Array, kernel: jax.Array) -> jax.Array:
        """Actions [..., *A], flat, and u [..., d], or one u [d] for all: [..., |A| + d]."""
        action_rank = len(parts.policy.shape)
        leading = action.shape[: action.ndim - action_rank]
        return joined(action, jnp.broadcast_to(kernel, (*leading, dimensions)), action_rank, 1)

    def fresh_candidates(key: jax.Array) -> tuple[jax.Array, Any]:
        """(theta, the Adams' states): uniform over the box, as the sigmoid of a logistic number is uniform."""
        theta = jax.random.logistic(key, (count_k, dimensions))
        return theta, jax.vmap(adam.init)(theta)

    def act(learned: M2TD3Learned, noise: jax.Array | None, observation: Any) -> jax.Array:
        return parts.act(learned, None if noise is None else jnp.broadcast_to(noise[..., :1], noise.shape), observation)

    def explore(learned: M2TD3Learned, noise: jax.Array, seen: Seen) -> jax.Array:
        return act(learned, noise, seen.own)

    def watch(learned: M2TD3Learned, key: jax.Array, steps: VectorStep) -> M2TD3Learned:
        """What ended episodes make of the adversary: L, and restarts."""
        ended = jnp.sum(steps.done)
        lengths = jnp.sum(jnp.where(steps.done, steps.episode_length, 0))
        adversary = restarted(learned.adversary, config, *fresh_candidates(key))
        adversary = replaced(adversary, length=lengths / jnp.maximum(ended, 1))
        adversary = jax.tree.map(lambda new, old: jnp.where(ended > 0, new, old), adversary, learned.adversary)
        return replaced(learned, adversary=adversary)

    def learn(
        learned: M2TD3Learned, key: jax.Array, batch: Experience, count: jax.Array
    ) -> tuple[M2TD3Learned, Metrics]:
        key_action, key_kernel = jax.random.split(key)
        following: Seen = batch.next_observation
        action = parts.target_action(learned, key_action, following.own)
        kernel = following.kernel + smoothing_noise(config, key_kernel, dimensions)
        inputs = beside(action, jnp.clip(kernel, -1.0, 1.0))
        least = jnp.min(parts.values(learned.target_critics, following.own, inputs), axis=0)
        target = bootstrapped(batch, least, config.discount)
        inputs = beside(batch.action, batch.observation.kernel)
        learned, found = parts.regressed(learned, batch.observation.own, inputs, target)
        is_due = count % config.policy_period == 0
        learned, others = jax.lax.cond(is_due, turn, skipped(turn), learned, batch.observation.own)
        return learned, found | others

    def turn(learned: M2TD3Learned, observation: Any) -> tuple[M2TD3Learned, Metrics]:
        """A step of the worst candidate, of the actor, of p and of all targets."""
        adversary, first = learned.adversary, jax.tree.map(lambda x: x[:1], learned.critics)
        kernels, action = scaled(adversary.theta), parts.mode(learned.actor, observation)
        found = judged(first, observation, action, kernels)
        worst = last_least(found)
        is_worst = jnp.arange(count_k) == worst
        stepped = worst_step(adversary, worst, first, observation, action)
        weights, against = (adversary.probability, kernels) if config.soft else (jnp.ones(1), kernels[worst][None])
        learned, diagnostics = parts.improved(learned, actor_loss, observation, against, weights)
        probability = adversary.probability + (is_worst - adversary.probability) / adversary.length
        learned = replaced(learned, adversary=replaced(stepped, probability=probability))
        psi = kernel_at(env, env_params, kernels[worst])
        measured = {f"worst/{name}": psi[i] for i, name in enumerate(env.names)}
        measured |= {"worst/value": found[worst], "worst/probability": adversary.probability[worst]}
        return learned, diagnostics | measured

    def judged(first: Any, observation: Any, action: jax.Array, kernels: jax.Array) -> jax.Array:
        """J of so many kernels u [M, d]: [M]."""

        def one(kernel: jax.Array) -> jax.Array:
            return jnp.mean(parts.values(first, observation, beside(action, kernel)))

        return jax.vmap(one)(kernels)

    def worst_step(
        adversary: KernelAdversary, worst: jax.Array, first: Any, observation: Any, action: jax.Array
    ) -> KernelAdversary:
        """Candidate number `worst` goes down its J."""

        def loss(theta: jax.Array) -> tuple[jax.Array, Metrics]:
            return judged(first, observation, action, scaled(theta)[None])[0], {}

        of_all = (adversary.theta, adversary.opt)
        of_one = jax.tree.map(lambda x: x[worst], of_all)
        of_one, _ = gradient_step(loss, adam, config.kernel_rate)(of_one, ())
        theta, opt = jax.tree.map(lambda x, new: x.at[worst].set(new), of_all, of_one)
        return replaced(adversary, theta=theta, opt=opt)

    def actor_loss(
        actor: Any, first: Any, observation: Any, kernels: jax.Array, weights: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        loss = -weights @ judged(first, observation, parts.mode(actor, observation), kernels)
        return loss, {"loss/actor": loss}

    return Learner(new, act, learn, explore, watch)


def _check(env: Any, env_params: Any, config: M2TD3Config) -> None:
    check_robust("m2td3", env, env_params, check_box)


@agent_factory("m2td3", M2TD3Config, _check)
def m2td3(env: Any, env_params: Any, config: M2TD3Config) -> Agent:
    """M2TD3 on the box of kernels of `env`; the parameters' own kernel and randomness are for evaluation only.

    One update is `train_frequency` steps of all environments, then `gradient_steps` minibatches.
    """
    arena, steps_per_update = ChosenKernels(env), config.num_envs * config.train_frequency

    def chosen(learned: M2TD3Learned, step: jax.Array) -> ChosenParams:
        """Kernels are uniform before learning starts, then the adversary's."""
        is_random = step * steps_per_update < config.learning_starts
        family = env_params.replace(randomness=jnp.where(is_random, 1.0, 0.0))
        adversary = learned.adversary
        return ChosenParams(family, scaled(adversary.theta), adversary.probability, spread_at(config, step))

    at_start = arena.default_params.replace(env=env.randomised(env_params))
    learner = m2td3_learner(env, env_params, config)
    return off_policy_agent("m2td3", m2td3, env, env_params, config, learner, Arena(arena, at_start, chosen))


def scaled(theta: jax.Array) -> jax.Array:
    """u of theta, [..., d]: 2 sigmoid(theta) - 1."""
    return jnp.tanh(0.5 * theta)


def last_least(values: jax.Array) -> jax.Array:
    """Index of the least of [K]; of equals, the last."""
    return values.shape[0] - 1 - jnp.argmin(values[::-1])


def spread_at(config: M2TD3Config, step: jax.Array) -> jax.Array:
    """Standard deviation of an episode's kernel around its candidate in update `step`, in half ranges."""
    if not config.soft:
        return jnp.asarray(config.kernel_noise, jnp.float32)
    first = config.learning_starts / (config.num_envs * config.train_frequency)
    share = jnp.clip((step - first) / (0.5 * config.total_updates), 0.0, 1.0)
    return config.kernel_noise + share * (config.last_kernel_noise - config.kernel_noise)


def restarted(adversary: KernelAdversary, config: M2TD3Config, theta: jax.Array, opt: Any) -> KernelAdversary:
    """The adversary after its restarts, with these fresh candidates [K, d] in the place of the close and improbable."""
    kernels = scaled(adversary.theta)
    distance = jnp.sum(jnp.abs(kernels[:, None] - kernels[None]), axis=-1)
    is_later = jnp.triu(jnp.ones_like(distance, dtype=bool), 1)
    is_close = jnp.any(is_later & (distance <= config.closest), axis=1)
    probability = evened(adversary.probability, is_close)
    is_improbable = probability < config.least_probability
    probability = evened(probability, is_improbable)
    theta, opt = select(is_close | is_improbable, (theta, opt), (adversary.theta, adversary.opt))
    # All of it may have been on the one that went: in short episodes the others' falls below what float32 can say.
    total = jnp.sum(probability)
    uniform = jnp.full_like(probability, 1.0 / probability.shape[0])
    probability = jnp.where(total > 0.0, probability / jnp.where(total > 0.0, total, 1.0), uniform)
    return replaced(adversary, theta=theta, opt=opt, probability=probability)


def evened(probability: jax.Array, mask: jax.Array) -> jax.Array:
    """p [K] in which those of the mask [K] are, one after the other, the mean of all others."""
    count = probability.shape[0]
    for k in range(count):
        others = (jnp.sum(probability) - probability[k]) / (count - 1)
        probability = probability.at[k].set(jnp.where(mask[k], others, probability[k]))
    return probability
