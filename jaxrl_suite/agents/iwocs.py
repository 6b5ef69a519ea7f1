"""IWOCS: incremental worst-case search, a robust MDP solved as a sequence of ordinary ones, on tables.

Zouitine, Geist, Rachelson, Solving robust MDPs as a sequence of static RL problems (arXiv 2410.06212), algorithm 1 and
its tabular form (appendix E). An iteration i = 0, 1, ...: solve the ordinary MDP of the kernel T_i; keep
Q_i(s,a) = min over j <= i of Q*_{T_j}(s,a); let pi_i be greedy in it; search the kernel T_{i+1} of the set that is
worst for pi_i. All in float64.

Beside the paper's, an exact certificate: L_i <= V* <= U_i, with U_i = max_a Q_i(s0,a), L_i what pi_i is worth at worst
and V* the robust optimum of a rectangular set. Where one kernel holds for all states and actions, what bounds the
optimum over random policies is min over j of V*_{T_j}(s0). Ends when the certificate is as close as wanted
(`certified`), when the worst kernel was met before and nothing new can come (`repeated`), or with the budget. By
rollouts L_i is an estimate, and so is the certificate; the exact worst value is reported beside it.

Symbols: S, A states, actions; M + 1 iterations; theta which kernel of the list.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_suite.agent import Agent, AgentInfo, Metrics, agent_factory
from jaxrl_suite.agents.memoryless import play_by
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.envs.observations import state_number
from jaxrl_suite.envs.robust_tabular import KernelMDP
from jaxrl_suite.errors import ConfigError
from jaxrl_suite.learning.tabular import TIE
from jaxrl_suite.precision import own_arrays
from jaxrl_suite.rows import TOLERANCE
from jaxrl_suite.sampling import sample_index
from jaxrl_suite.solvers.dynamic_programming import policy_evaluation, value_iteration
from jaxrl_suite.solvers.robust_dynamic_programming import robust_policy_evaluation
from jaxrl_suite.solvers.robust_sets import ChiSquareBall, Contamination, FiniteKernels, Interval, KLBall, L1Ball

RUNNING, CERTIFIED, REPEATED, BUDGET = range(4)
"""What an iteration can end with."""

BALLS = {
    "l1": L1Ball,
    "interval": Interval,
    "kl": KLBall,
    "chi_square": ChiSquareBall,
    "contamination": Contamination,
}

SAME = 1e-9
"""Difference of probabilities up to which two kernels are the same."""

PAPER = "paper, appendix E"
OURS = "recommendation of this suite, the paper is silent"


@struct.dataclass
class IWOCSConfig:
    """Settings of IWOCS on tables. Floats can be swept."""

    gap: float = sweepable(1e-6, "of the certificate, at which to stop", symbol="epsilon", source=OURS, low=0)
    solver_tolerance: float = sweepable(
        1e-12, "error up to which each ordinary MDP is solved; 1e-3 in the paper", low=0
    )
    radius: float = sweepable(0.1, "of the ball, where nature is one", symbol="kappa, delta, beta", low=0)
    total_updates: int = static(25, "budget: iterations", symbol="M + 1", unit="iterations", source=OURS, low=1)
    first_kernel: int = static(0, "number of the kernel to start from", symbol="T_0", source=OURS, low=0)
    nature: str = static(
        "kernels",
        "what nature chooses from: the environment's kernels (row by row where they are rectangular), or a ball around "
        "each row of the kernel in force",
        choices=("kernels", *BALLS),
    )
    evaluation: str = static(
        "exact", "of the candidate under each kernel", source=PAPER, choices=("exact", "monte_carlo")
    )
    rollouts: int = static(300, "of each kernel, by Monte Carlo", source=PAPER, low=1)
    rollout_steps: int = static(10_000, "the most of a rollout", unit="steps", source=PAPER, low=1)
    off_path: str = static(
        "worst",
        "rows of a new kernel where the candidate never acts: the worst for it, the last kernel's, or nominal ones",
        source=OURS,
        choices=("worst", "kept", "nominal"),
    )
    candidate: str = static(
        "max_min",
        "greedy in the least Q; or, as deep IWOCS does, the best action of the kernel whose own value is least",
        choices=("max_min", "own_action"),
    )


@struct.dataclass
class IWOCSState:
    """The kernels so far and what they say.

    kernels: T_0, ..., [M + 1, S, A, S]. thetas: int32 [M + 1], their numbers in the list, -1 where there is none.
    iteration: int32, of the next one. q: Q_i, [S, A]. least: min over j of V*_{T_j}, [S], and own_action: int32 [S],
    the best action of the lowest j that attains it. static_upper: min over j of V*_{T_j} at the start. policy: of the
    best candidate, int32 [S]; best: its lower bound; worst_kernel: the kernel it is worth that under, [S, A, S].
    backups: int32, sweeps of value iteration so far. status: int32.
    """

    kernels: jax.Array
    thetas: jax.Array
    iteration: jax.Array
    q: jax.Array
    least: jax.Array
    own_action: jax.Array
    static_upper: jax.Array
    policy: jax.Array
    best: jax.Array
    worst_kernel: jax.Array
    backups: jax.Array
    status: jax.Array


class Search(NamedTuple):
    """What a search for the worst kernel found: kernel [S, A, S], its theta (int32, or -1), the candidate's value under
    it as estimated, and exactly."""

    kernel: jax.Array
    theta: jax.Array
    value: jax.Array
    exact: jax.Array


def check_task(env: Any, env_params: Any, config: IWOCSConfig) -> None:
    """Refuses on the host what cannot work."""
    if not isinstance(env_params, KernelMDP) or env_params.horizon is not None:
        raise ConfigError(f"{env.id}: must be a list of kernels without a horizon, as make('robust/windy-walk')")
    if config.first_kernel >= env_params.num_kernels:
        last = env_params.num_kernels - 1
        raise ConfigError(f"IWOCSConfig.first_kernel = {config.first_kernel}: must be <= {last}")
    if config.evaluation == "monte_carlo" and (config.nature != "kernels" or env_params.is_rectangular):
        raise ConfigError("IWOCSConfig.evaluation = 'monte_carlo': must be exact where nature chooses row by row")
    if config.nature == "contamination" and np.max(config.radius) > 1:
        raise ConfigError(f"IWOCSConfig.radius = {float(np.max(config.radius)):g}: must be <= 1 for contamination")


def greedy(q: jax.Array) -> jax.Array:
    """int32 [S], the lowest best action; values equal but for rounding are equal."""
    top = jnp.max(q, axis=-1, keepdims=True)
    return jnp.argmax(q >= top - TIE * jnp.maximum(jnp.abs(top), 1.0), axis=-1).astype(jnp.int32)


def rollout_values(key: jax.Array, mdp: Any, policy: jax.Array, rollouts: int, steps: int) -> jax.Array:
    """Mean discounted returns of a policy under each kernel of the list, [K], until nothing can follow any more."""
    states = jnp.arange(mdp.num_states)
    kernels = jnp.asarray(mdp.kernels)
    flow = kernels[:, states, policy]
    rewards = jnp.asarray(mdp.rewards)
    arriving = mdp.pays_on_arrival
    paid = rewards[states, policy]
    pays = jnp.any(paid != 0, axis=-1) if arriving else paid != 0
    is_over = (flow[:, states, states] > 1 - TOLERANCE) & ~pays
    which = jnp.arange(len(kernels))[:, None]
    first_key, walk_key = jax.random.split(key)
    shape = (len(kernels), rollouts)
    first = sample_index(jnp.asarray(mdp.initial), jax.random.uniform(first_key, shape, flow.dtype))

    def is_open(loop: Any) -> jax.Array:
        here, _, step = loop
        return jnp.any(~is_over[which, here]) & (step < steps)

    def walk(loop: Any) -> Any:
        here, total, step = loop
        uniform = jax.random.uniform(jax.random.fold_in(walk_key, step), shape, flow.dtype)
        following = sample_index(flow[which, here], uniform)
        reward = paid[here, following] if arriving else paid[here]
        return following, total + jnp.power(mdp.discount, step) * reward, step + 1

    start = first, jnp.zeros(shape, flow.dtype), jnp.zeros((), jnp.int32)
    return jnp.mean(jax.lax.while_loop(is_open, walk, start)[1], axis=-1)


@agent_factory("iwocs", IWOCSConfig, check=check_task)
def iwocs(env: Any, env_params: Any, config: IWOCSConfig) -> Agent:
    """IWOCS: one update is one iteration of the outer loop."""
    mdp = own_arrays(env_params)
    is_shared = config.nature == "kernels" and not mdp.is_rectangular

    def start_value(values: jax.Array) -> jax.Array:
        return jnp.sum(mdp.initial * values)

    def init(key: jax.Array) -> IWOCSState:
        first = jnp.asarray(mdp.kernels)[config.first_kernel] if config.nature == "kernels" else mdp.transitions
        first = jnp.asarray(first)
        unknown = jnp.full(mdp.num_states, jnp.inf, first.dtype)
        slots = jnp.zeros((config.total_updates, *first.shape), first.dtype).at[0].set(first)
        thetas = jnp.full(config.total_updates, -1, jnp.int32)
        nothing = jnp.zeros((), jnp.int32)
        return IWOCSState(
            kernels=slots,
            thetas=thetas.at[0].set(config.first_kernel) if is_shared else thetas,
            iteration=nothing,
            q=jnp.full(first.shape[:-1], jnp.inf, first.dtype),
            least=unknown,
            own_action=jnp.zeros(mdp.num_states, jnp.int32),
            static_upper=jnp.asarray(jnp.inf, first.dtype),
            policy=jnp.zeros(mdp.num_states, jnp.int32),
            best=jnp.asarray(-jnp.inf, first.dtype),
            worst_kernel=first,
            backups=nothing,
            status=nothing,
        )

    def worst_shared(key: jax.Array, policy: jax.Array, kernel: jax.Array) -> Search:
        """Brute force over the list; the first of equals."""

        def value_under(kernel: jax.Array) -> jax.Array:
            return policy_evaluation(mdp.under(kernel), policy).start_value

        exact = jax.vmap(value_under)(jnp.asarray(mdp.kernels))
        values = exact
        if config.evaluation == "monte_carlo":
            values = rollout_values(key, mdp, policy, config.rollouts, config.rollout_steps)
        theta = jnp.argmin(values).astype(jnp.int32)
        # Judged exactly by what is really the worst, not by what looked like it.
        return Search(jnp.asarray(mdp.kernels)[theta], theta, values[theta], jnp.min(exact))

    def worst_rectangular(key: jax.Array, policy: jax.Array, kernel: jax.Array) -> Search:
        """Nature's best response, by rows; one kernel serves every start."""
        if config.nature == "kernels":
            uncertainty = FiniteKernels(jnp.asarray(mdp.kernels))
        else:
            uncertainty = BALLS[config.nature](config.radius)
        found = robust_policy_evaluation(mdp, uncertainty, policy)
        elsewhere = {"worst": found.kernel, "kept": kernel, "nominal": mdp.transitions}[config.off_path]
        is_played = jax.nn.one_hot(policy, mdp.num_actions, dtype=bool)[..., None]
        rows = jnp.where(is_played, found.kernel, elsewhere)
        return Search(rows, jnp.full((), -1, jnp.int32), found.start_value, found.start_value)

    search = worst_shared if is_shared else worst_rectangular

    def update(key: jax.Array, state: IWOCSState, step: jax.Array) -> tuple[IWOCSState, Metrics]:
        i = state.iteration
        kernel = state.kernels[i]
        solved = value_iteration(mdp.under(kernel), config.solver_tolerance)
        q = jnp.minimum(state.q, solved.action_value)
        is_less = solved.value < state.least
        own_action = jnp.where(is_less, greedy(solved.action_value), state.own_action)
        policy = greedy(q) if config.candidate == "max_min" else own_action
        found = search(key, policy, kernel)
        upper = start_value(jnp.max(q, axis=-1))
        is_best = found.value > state.best
        status = outcome(state, found, upper)
        state = dataclasses.replace(
            state,
            kernels=state.kernels.at[i + 1].set(found.kernel, mode="drop"),
            thetas=state.thetas.at[i + 1].set(found.theta, mode="drop"),
            iteration=i + 1,
            q=q,
            least=jnp.minimum(state.least, solved.value),
            own_action=own_action,
            static_upper=jnp.minimum(state.static_upper, solved.start_value),
            policy=jnp.where(is_best, policy, state.policy),
            best=jnp.maximum(state.best, found.value),
            worst_kernel=jnp.where(is_best, found.kernel, state.worst_kernel),
            backups=state.backups + solved.iterations,
            status=status,
        )
        metrics = {
            "episode/count": jnp.zeros((), jnp.int32),
            "bound/upper": upper,
            "bound/lower": found.value,
            "bound/static_upper": state.static_upper,
            "bound/best_lower": state.best,
            "value/worst": found.exact,
            "kernel/theta": found.theta,
            "backups": state.backups,
            "status": status,
            "finished": status != RUNNING,
        }
        return state, metrics

    def outcome(state: IWOCSState, found: Search, upper: jax.Array) -> jax.Array:
        """The status after an iteration."""
        is_filled = jnp.arange(config.total_updates) <= state.iteration
        if is_shared:
            is_same = state.thetas == found.theta
        else:
            is_same = jnp.max(jnp.abs(state.kernels - found.kernel), axis=(1, 2, 3)) <= SAME
        status = jnp.where(state.iteration + 1 >= config.total_updates, BUDGET, RUNNING)
        status = jnp.where(jnp.any(is_same & is_filled), REPEATED, status)
        return jnp.where(jnp.abs(upper - found.value) <= config.gap, CERTIFIED, status).astype(jnp.int32)

    def probabilities(state: IWOCSState, observation: Any) -> jax.Array:
        action = state.policy[state_number(observation)]
        return jax.nn.one_hot(action, mdp.num_actions, dtype=state.q.dtype)

    play, total = play_by(probabilities), config.total_updates
    info = AgentInfo("iwocs", env, env_params, config, 1, total, iwocs, precision="float64", policy=play.policy)
    return Agent(init, update, play.start, play.act, info)
