"""A tiny agent for tests of the runner (a random walk, compiled in a second), a small PPO, and exact comparison."""

import functools
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import jaxrl_suite as jrl
from jaxrl_suite.agent import Agent, AgentInfo, agent_factory
from jaxrl_suite.config import static, sweepable
from jaxrl_suite.games import CHANCE, END, compile_game
from jaxrl_suite.reproduction.loading import import_file
from jaxrl_suite.training.checkpoints import Checkpoints

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


@struct.dataclass
class ToyConfig:
    """Settings of the toy."""

    rate: float = sweepable(0.1, "size of a step", above=0, high=10)
    noise: float = sweepable(0.01, "standard deviation of a step", low=0)
    total_updates: int = static(60, "budget", low=1)
    width: int = static(3, "dimensions", low=1)
    finish_at: float = sweepable(1e9, "a member finishes once its first coordinate passes this")
    can_finish: bool = static(False, "report `finished`")
    poison_seed_below: float = sweepable(-1.0, "members whose first draw is below turn NaN at update 5")


@struct.dataclass
class ToyState:
    """position: [width]; draw: the member's own first draw; key: a typed key, to be kept; count: updates; nothing: an
    array without elements, as an environment without objects has them."""

    position: jax.Array
    draw: jax.Array
    key: jax.Array
    count: jax.Array
    nothing: jax.Array


@agent_factory("toy", ToyConfig)
def toy(env: Any, env_params: Any, config: ToyConfig) -> Agent:
    """Moves by `rate` plus noise each update; an episode of length 5 ends every other update."""

    def init(key):
        return ToyState(jnp.zeros(config.width), jax.random.uniform(key), key, jnp.int32(0), jnp.zeros((2, 0)))

    def update(key, state, step):
        noise = config.noise * jax.random.normal(key, (config.width,))
        is_poisoned = (state.draw < config.poison_seed_below) & (step >= 5)
        position = state.position + config.rate * env_params.reward + noise
        position = jnp.where(is_poisoned, jnp.nan, position)
        ended = step % 2 == 1
        metrics = {
            "episode/return": jnp.where(ended, position[0], jnp.nan),
            "episode/length": jnp.where(ended, 5.0, jnp.nan),
            "episode/count": jnp.where(ended, 2, 0),
            "loss/toy": position.sum(),
            "toy/step": step,
        }
        if config.can_finish:
            metrics["finished"] = position[0] > config.finish_at
        return state.replace(position=position, count=state.count + 1), metrics

    def start(key, state):
        return jnp.int32(0)

    def act(key, state, memory, observation, greedy):
        return jnp.int32(0), memory + 1

    return Agent(init, update, start, act, AgentInfo("toy", env, env_params, config, 10, config.total_updates, toy))


def toy_agent(**settings):
    env, params = jrl.make("probe/never-ending")
    return toy(env, params, ToyConfig(**settings))


def ppo_agent(**settings):
    env, params = jrl.make("CartPole-v1")
    small = {"num_envs": 2, "rollout_length": 16, "hidden_sizes": (8,), "num_minibatches": 2, "num_epochs": 2}
    return jrl.agents.ppo(env, params, jrl.agents.PPOConfig(**(small | {"total_updates": 12} | settings)))


def after_updates(agent, count):
    """(agent, states, metrics): the states before each update and after the last, and each one's metrics as arrays."""
    quick = {"xla_backend_optimization_level": 0}
    update = jax.jit(agent.update, compiler_options=quick)
    states, metrics = [jax.jit(agent.init, compiler_options=quick)(jax.random.key(0))], []
    for step in range(count):
        state, measured = update(jax.random.key(step), states[-1], jnp.int32(step))
        states.append(state)
        metrics.append(jax.tree.map(np.asarray, measured))
    return agent, states, metrics


def same(a, b):
    """Bit for bit, NaN included."""
    return np.array_equal(a, b, equal_nan=np.issubdtype(np.asarray(a).dtype, np.floating))


def same_states(a, b):

    def plain(x):
        return jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x

    return all(jax.tree.leaves(jax.tree.map(lambda x, y: same(plain(x), plain(y)), a, b)))


def wait_for_checkpoint(processes: list[Any], out: Path, least: int) -> None:
    """Until a run that these (`subprocess.Popen`) write has a whole checkpoint of at least so many updates."""
    checkpoints = Checkpoints(out / "checkpoints")
    for _ in range(3000):
        if any(u >= least and checkpoints._digest_path(u).exists() for u in checkpoints.updates()):
            return
        ended = [process for process in processes if process.poll() is not None]
        assert not ended, [process.communicate() for process in ended]
        time.sleep(0.1)
    raise AssertionError("no checkpoint came")


def load_benchmark(name: str) -> Any:
    """A file of benchmarks/, by path, as `jaxrl bench` loads it."""
    return import_file(Path(__file__).parents[1] / "benchmarks" / f"{name}.py", f"benchmarks_{name}")


class RandomTree:
    """A random game: chance, two players who see some of what was done, payoffs at the ends."""

    num_actions = 3

    def __init__(self, seed, depth=4, is_zero_sum=True, shift=0.0, order=(0, 1, 2)):
        self.seed, self.depth, self.is_zero_sum, self.shift, self.order = seed, depth, is_zero_sum, shift, order

    def draw(self, *path):
        return np.random.default_rng([self.seed, *(x + 1 for x in path)])

    def start(self):
        return ()

    def player(self, state):
        if len(state) == self.depth:
            return END
        return int(self.draw(len(state)).choice([CHANCE, 0, 1], p=[0.2, 0.4, 0.4]))

    def chances(self, state):
        likely = self.draw(*state, 7).dirichlet(np.ones(2))
        return [((*state, outcome), p) for outcome, p in enumerate(likely)]

    def actions(self, state):
        # As many as the player itself may know of: by depth alone.
        return sorted(self.order[a] for a in range(2 + self.draw(len(state), 3).integers(2)))

    def after(self, state, action):
        return (*state, self.order.index(action))

    def information(self, state):
        me = self.player(state)
        # Of each earlier move a player knows its own, and some others.
        return tuple(
            (t, move)
            for t, move in enumerate(state)
            if self.player(state[:t]) == me or self.draw(t, me, 5).random() < 0.5
        )

    def returns(self, state):
        first, second = self.draw(*state, 11).normal(size=2)
        return first + self.shift, -(first + self.shift) if self.is_zero_sum else second + self.shift


@functools.cache
def random_game(seed, **options):
    return compile_game(RandomTree(seed, **dict(options)), f"random {seed}")


def walked_values(game: Any, policy: np.ndarray, own_bonus: Any = None, other_bonus: Any = None) -> tuple[Any, Any]:
    """(counterfactual values [I, A], weights [I]) of a game, by recursion over its nodes.

    Bonuses, [I], are paid for coming to an information set: to its owner, and to the other player.
    """
    nodes, none = game.nodes, np.zeros(len(game.legal))
    own, other = (none if bonus is None else bonus for bonus in (own_bonus, other_bonus))
    total, weight = np.zeros(game.legal.shape), np.zeros(len(game.legal))

    def visit(node: int, chance: float, reach: list[float]) -> Any:
        player = nodes.player[node]
        if player == END:
            return nodes.returns[node]
        if player == CHANCE:
            pairs = [(c, p) for c, p in zip(nodes.children[node], nodes.probability[node], strict=True) if p > 0]
            return sum(p * visit(c, chance * p, reach) for c, p in pairs)
        here, value = nodes.infoset[node], np.zeros(2)
        weight[here] += chance * reach[1 - player]
        for action in np.flatnonzero(game.legal[here]):
            further = [r * policy[here, action] if p == player else r for p, r in enumerate(reach)]
            following = visit(nodes.children[node, action], chance, further)
            total[here, action] += chance * reach[1 - player] * following[player]
            value = value + policy[here, action] * following
        value[player] += own[here]
        value[1 - player] += other[here]
        return value

    visit(0, 1.0, [1.0, 1.0])
    return total, weight


@functools.cache
def metrics_in_game(agent: str, name: str, updates: int, **config: Any) -> dict[str, np.ndarray]:
    """Metrics of one seed of an agent in `game/NAME`, by name, [iteration]."""
    env, game = jrl.make(f"game/{name}")
    factory = getattr(jrl.agents, agent)
    run = jrl.train(factory(env, game, factory.config_class(total_updates=updates, **config)), quick_compile=True)
    return {metric: values[0] for metric, values in run.metrics.items()}


def at_iterations(values: Any, *iterations: int) -> list[Any]:
    """Of a metric [iteration], counted from 1."""
    return [values[t - 1] for t in iterations]


def random_play(env: Any, params: Any, episodes: int) -> tuple[np.ndarray, np.ndarray]:
    """(player 0's returns, whether each game ended) of uniform play."""
    agent = jrl.agents.uniform_play(env, params)
    found = jrl.evaluate(agent, jnp.zeros(1), seeds=[0], episodes=episodes, greedy=False)
    return found.returns[0], found.ended[0]
