"""Constrained MDPs by a linear program an episode: OptPess-LP and DOPE, with utility = reward and budget = threshold.

They are stepped on the host: the program is solved by HiGHS through SciPy, everything else is compiled. A solve takes
some ten milliseconds, so by default it is repeated only once the number of episodes has grown by `resolve_growth`.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.conservative import act, first_episode, judgement
from jaxrl_suite.agents.conservative_task import ConservativeConfig, Task, check_task, counts_shape, prepare
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.tabular import TabularMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.tabular import add_episode, empirical, episode_uniforms, play_episode, staged
from jaxrl_suite.precision import own_arrays
from jaxrl_suite.solvers import occupancy
from jaxrl_suite.solvers.dynamic_programming import policy_evaluation


@struct.dataclass
class LinearProgramConfig(ConservativeConfig):
    """Settings of OptPess-LP and DOPE: those of all conservative agents, and how often to solve."""

    resolve_growth: float = sweepable(
        0.05, "solve again once the episodes have grown by this share; 0: every one", low=0
    )
    safe_episodes: int = static(
        0,
        "baseline episodes before the first program; DOPE's theory asks for S^2 A H^3 / kappa^2",
        symbol="K_0",
        low=0,
    )


@struct.dataclass
class LinearProgramState:
    """counts: int32 [H, S, A, S]. task: see `Task`. policy: float64 [H, S, A], of the last program. explores: bool,
    whether it is the program's and not the baseline. solved_at: int32, the episode of the last program, 0 before."""

    counts: jax.Array
    task: Task
    policy: jax.Array
    explores: jax.Array
    solved_at: jax.Array
    first_exploration: jax.Array


class Model(NamedTuple):
    """What a program is made from, NumPy float64: visits n [H, S, A]; rows P-hat [H, S, A, S], uniform where n = 0;
    rewards [H, S, A]; initial [S]."""

    visits: np.ndarray
    rows: np.ndarray
    rewards: np.ndarray
    initial: np.ndarray


Solve = Callable[[Model, Task, Any], np.ndarray | None]
"""A program's policy [H, S, A], None where the baseline has to be played."""


def check_program(env: Any, env_params: Any, config: LinearProgramConfig) -> None:
    """As `check_task`; these algorithms know their baseline, and divide by the margin above the threshold."""
    task = check_task(env, env_params, config)
    if task.threshold >= task.value:
        raise ConfigError(
            f"LinearProgramConfig.threshold = {float(config.threshold):g}: must leave a margin below the baseline's "
            f"value {float(task.value):.6g}"
        )
    if config.offline_episodes:
        raise ConfigError(f"LinearProgramConfig.offline_episodes = {config.offline_episodes}: must be 0 here")
    if config.dataset is not None:
        raise ConfigError("LinearProgramConfig.dataset: must be None here")


@agent_factory("opt_pess_lp", LinearProgramConfig, check=check_program)
def opt_pess_lp(env: Any, env_params: Any, config: LinearProgramConfig) -> Agent:
    """OptPess-LP (Liu et al., NeurIPS 2021, arXiv 2106.02684): optimistic reward, pessimistic constraint, P-hat."""
    return _agent(opt_pess_lp, env, env_params, config, solve_opt_pess)


@agent_factory("dope", LinearProgramConfig, check=check_program)
def dope(env: Any, env_params: Any, config: LinearProgramConfig) -> Agent:
    """DOPE (Bura et al., NeurIPS 2022, arXiv 2112.00885): an extended program that chooses the transitions too."""
    return _agent(dope, env, env_params, config, solve_dope)


def solve_opt_pess(model: Model, task: Task, config: Any) -> np.ndarray | None:
    """maximise sum q (r + alpha beta) subject to sum q (r - H S beta) >= gamma, over occupancies q of P-hat."""
    horizon, states, _ = model.rewards.shape
    margin = float(task.value - task.threshold)
    log = math.log(32 * states**2 * horizon * config.total_updates / float(config.delta))
    beta = np.sqrt(float(config.scale) * log / np.maximum(model.visits, 1))
    alpha = states * horizon + 4 * horizon * (1 + states * horizon) / margin
    pessimistic = model.rewards - horizon * states * beta
    estimated = TabularMDP(model.rows, model.rewards, model.initial, horizon)
    baseline = occupancy(estimated, np.asarray(task.baseline))
    if np.sum(baseline * pessimistic) <= (float(task.threshold) + float(task.value)) / 2:
        return None
    flow, initial = _flow(model)
    solution = _maximise(
        (model.rewards + alpha * beta).ravel(), flow, initial, [-pessimistic.ravel()], [-float(task.threshold)]
    )
    return None if solution is None else _as_policy(solution.reshape(model.rewards.shape))


def solve_dope(model: Model, task: Task, config: Any) -> np.ndarray | None:
    """maximise sum z (r + H^2 B / kappa) subject to sum z (r - H B) >= gamma, over occupancies z(s, a, s') whose
    transitions are within beta_p of P-hat; B is the sum of beta_p over s'.

    Departs from the released code in two ways: counts of stages are kept apart, as transitions depend on them, and the
    logarithm has the number of actions in it too.
    """
    from scipy import sparse

    horizon, states, actions = model.rewards.shape
    margin = float(task.value - task.threshold)
    log = math.log(6 * states**2 * actions * horizon * config.total_updates / float(config.delta))
    n, scale = np.maximum(model.visits, 1)[..., None], float(config.scale)
    beta = 2 * np.sqrt(scale * log * model.rows * (1 - model.rows) / n) + scale * 14 * log / (3 * n)
    total = beta.sum(axis=-1)

    def spread(values: np.ndarray) -> np.ndarray:
        return np.repeat(values.ravel(), states)

    pairs = horizon * states * actions
    sums = sparse.kron(sparse.eye(pairs), np.ones((1, states)), format="csr")  # z(s, a, .) of each pair
    repeated = sparse.kron(sparse.eye(pairs), np.ones((states, 1)), format="csr") @ sums
    entry = sparse.eye(pairs * states, format="csr")
    upper, lower = (model.rows + beta).ravel(), (model.rows - beta).ravel()
    within = [entry - sparse.diags(upper) @ repeated, sparse.diags(lower) @ repeated - entry]
    safe = sparse.csr_matrix(-spread(model.rewards - horizon * total))
    flow, initial = _extended_flow(model)
    zeros = np.zeros(pairs * states)
    solution = _maximise(
        spread(model.rewards + horizon**2 / margin * total),
        flow,
        initial,
        sparse.vstack([safe, *within]),
        np.concatenate([[-float(task.threshold)], zeros, zeros]),
    )
    return None if solution is None else _as_policy(solution.reshape(*model.rewards.shape, states).sum(axis=-1))


def _maximise(gain: np.ndarray, flow: Any, initial: np.ndarray, rows: Any, limits: Any) -> np.ndarray | None:
    """argmax of gain x over x >= 0 with flow x = initial and rows x <= limits; None if there is no such x."""
    from scipy.optimize import linprog

    found = linprog(-gain, A_ub=rows, b_ub=limits, A_eq=flow, b_eq=initial, method="highs")
    return np.maximum(found.x, 0.0) if found.status == 0 else None


def _flow(model: Model) -> tuple[Any, np.ndarray]:
    """Rows (stage, state) of: what leaves a state at a stage is what came into it."""
    from scipy import sparse

    horizon, states, actions = model.rewards.shape
    leaves = sparse.kron(sparse.eye(horizon * states), np.ones((1, actions)), format="lil")
    for stage in range(1, horizon):
        into = model.rows[stage - 1].reshape(states * actions, states).T
        columns = slice((stage - 1) * states * actions, stage * states * actions)
        leaves[stage * states : (stage + 1) * states, columns] = -into
    return leaves.tocsr(), _starts(model)


def _extended_flow(model: Model) -> tuple[Any, np.ndarray]:
    """The same for occupancies (stage, state, action, next state)."""
    from scipy import sparse

    horizon, states, actions = model.rewards.shape
    leaves = sparse.kron(sparse.eye(horizon * states), np.ones((1, actions * states)))
    arrives = sparse.kron(np.ones((1, states * actions)), sparse.eye(states))
    below = sparse.kron(sparse.eye(horizon, k=-1), arrives)
    return (leaves - below).tocsr(), _starts(model)


def _starts(model: Model) -> np.ndarray:
    horizon, states, _ = model.rewards.shape
    return np.concatenate([model.initial, np.zeros((horizon - 1) * states)])


def _as_policy(occupancy: np.ndarray) -> np.ndarray:
    """pi_h(a|s) in proportion to occupancy [H, S, A], uniform where there is none."""
    mass = occupancy.sum(axis=-1, keepdims=True)
    return np.where(mass > 0, occupancy / np.where(mass > 0, mass, 1.0), 1.0 / occupancy.shape[-1])


def _agent(factory: Any, env: Any, env_params: Any, config: LinearProgramConfig, solve: Solve) -> Agent:
    mdp = own_arrays(env_params)

    @jax.jit
    def begin(settings: Any) -> LinearProgramState:
        task, never = prepare(mdp, settings), jnp.zeros((), jnp.int32)
        counts = jnp.zeros(counts_shape(mdp), jnp.int32)
        return LinearProgramState(counts, task, task.baseline, jnp.asarray(False), never, never)

    @jax.jit
    def play(key: jax.Array, state: LinearProgramState, step: jax.Array) -> tuple[LinearProgramState, Metrics]:
        episode, task = play_episode(episode_uniforms(key, mdp), mdp, state.policy), state.task
        value = policy_evaluation(mdp, state.policy).start_value
        first = first_episode(state.first_exploration, state.explores, step)
        metrics = {
            **judgement(task, episode, value, first),
            "baseline/count": (~state.explores).astype(jnp.int32),
            "optimistic/count": state.explores.astype(jnp.int32),
        }
        counts = add_episode(state.counts, episode)
        return dataclasses.replace(state, counts=counts, first_exploration=first), metrics

    def init(key: jax.Array) -> LinearProgramState:
        return begin(config)

    def update(key: jax.Array, state: LinearProgramState, step: Any) -> tuple[LinearProgramState, Metrics]:
        episode = int(step) + 1
        is_due = episode >= max(1, int(state.solved_at)) * (1.0 + float(config.resolve_growth))
        if episode > config.safe_episodes and (is_due or int(state.solved_at) == 0):
            found = solve(_model(state, mdp), state.task, config)
            policy = state.task.baseline if found is None else jnp.asarray(found)
            state = dataclasses.replace(
                state, policy=policy, explores=jnp.asarray(found is not None), solved_at=jnp.asarray(episode, jnp.int32)
            )
        return play(key, state, jnp.asarray(step, jnp.int32))

    def start(key: jax.Array, state: LinearProgramState) -> Any:
        return jnp.zeros((), jnp.int32), state.policy

    info = AgentInfo(
        factory.agent_name, env, env_params, config, mdp.horizon, config.total_updates, factory, True, "float64"
    )
    return Agent(init, update, start, act, info)


def _model(state: LinearProgramState, mdp: Any) -> Model:
    rewards = np.asarray(staged(mdp)[1])
    visits, rows = (np.asarray(x) for x in empirical(state.counts, rewards.dtype))
    rows = np.where(visits[..., None] > 0, rows, 1.0 / mdp.num_states)
    return Model(visits, rows, rewards, np.asarray(mdp.initial))
