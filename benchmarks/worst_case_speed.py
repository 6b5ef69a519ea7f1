"""Times the search for a policy's worst kernel: all candidates of a generation as one roll-out, beside one by one.

Both sides are the same CMA-ES with the same keys and the same compiled episode, and find the same worst case: 6
generations of 100 candidates, one episode each, of DQN's network. One by one, a generation is asked for, each candidate
is one call of a compiled roll-out, and the returns are told. Each measurement is a process of its own, workers take
turns, and ratios are medians over pairs. `jaxrl bench worst-case` runs it; called with `--worker` it is one measurement
and prints a line of JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paired
from worker_common import peak_rss_bytes

HERE = Path(__file__).resolve().parent
NOTES = {
    "rate": "searches a second, of the fastest of some repetitions; seconds: of that search.",
    "pendulum": "200 steps an episode, whatever is played; five torques.",
    "cart-pole": "a hand-made policy that balances most kernels of the box for all of the 500 steps.",
    "value": "the worst return found, of the repetition with key 0: the same on both sides, to rounding.",
    "compile_seconds": "apart from the rate; one by one it includes asking and telling.",
    "peak_rss_bytes": "of the whole process, imports and compiler included.",
    "network-alone": "as many evaluations of the network, a generation at a time, as a search makes whose episodes all "
    "last to the limit, and nothing else: no search as one call is faster on these cores.",
}
POPULATION, GENERATIONS = 100, 6
TASKS = {"pendulum": "robust/Pendulum-v1", "cart-pole": "robust/CartPole-v1"}
REPETITIONS = {"one-call": 5, "one-by-one": 2, "network-alone": 5}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "worst_case_speed.json")
    parser.add_argument("--worker", choices=list(WORKERS))
    arguments = parser.parse_args(argv)
    if arguments.worker:
        found = measured(WORKERS[arguments.worker](arguments.tasks[0]), REPETITIONS[arguments.worker])
        print(json.dumps(found | {"peak_rss_bytes": peak_rss_bytes()}))
        return 0
    from jaxrl_suite.training.provenance import provenance

    made_with, cases = provenance(), [{"tasks": task} for task in arguments.tasks]
    rows = paired.in_turns(__file__, WORKERS, arguments.pairs, cases)
    found = {task: summary([row for row in rows if row["tasks"] == task]) for task in arguments.tasks}
    paired.write(arguments.out, {"provenance": made_with, "notes": NOTES, "summary": found, "rows": rows})
    return 0


def summary(rows: list[dict]) -> dict:
    found = paired.of_workers(rows, WORKERS, ("seconds", "compile_seconds"))
    found["one call over one by one"] = paired.ratio(rows, "one-call", "one-by-one", "rate")
    found["worst returns"] = sorted({round(row["value"], 2) for row in rows if row["worker"] != "network-alone"})
    return found


def player_of(name: str):
    """Environment, its parameters, DQN and a state of it."""
    import jax

    import jaxrl_suite as jrl

    env, params = jrl.make(TASKS[name], **({"levels": 5} if name == "pendulum" else {}))
    agent = jrl.agents.dqn(env, params, jrl.agents.DQNConfig(buffer_size=32))
    return env, params, agent, agent.init(jax.random.key(0))


def task_of(name: str):
    """(key, points [N, d]) -> returns [N] of one episode each, and the box."""
    import jax.numpy as jnp

    from jaxrl_suite.learning.worst_case import returns_at

    env, params, agent, state = player_of(name)

    def act(key, memory, observation):
        action, memory = agent.act(key, state, memory, observation, True)
        if name == "pendulum":
            return action, memory
        # The network is asked all the same, and decides nothing.
        lean = jnp.dot(observation, jnp.array([0.1, 0.3, 3.0, 1.0])) + 1e-9 * action
        return (lean > 0).astype(jnp.int32), memory

    def returns(key, points):
        def at(psi):
            return env.at(params, psi)

        return returns_at(key, env, at, points, lambda k: (), act, 1, params.max_steps_in_episode)[:, 0]

    return returns, *env.bounds(params)


def one_call(name: str):
    import jax

    from jaxrl_suite.learning.worst_case import worst_in

    returns, low, high = task_of(name)

    def search(key):
        key_play, key_search = jax.random.split(key)
        return worst_in(key_search, lambda points: returns(key_play, points), low, high, POPULATION, GENERATIONS).value

    return jax.jit(search)


def one_by_one(name: str):
    """The same search with the host between candidates."""
    import jax
    import jax.numpy as jnp

    from jaxrl_suite.learning.worst_case import cma_strategy
    from jaxrl_suite.sampling import between

    returns, low, high = task_of(name)
    strategy = cma_strategy(POPULATION, len(low))
    params = strategy.default_params.replace(std_init=jnp.float32(0.5))

    @jax.jit
    def ask(key, state):
        candidates, state = strategy.ask(key, state, params)
        return candidates, between(low, high, jnp.clip(candidates, 0.0, 1.0)), state

    @jax.jit
    def tell(key, candidates, found, state):
        return strategy.tell(key, candidates, found, state, params)[0]

    episode = jax.jit(returns)

    def search(key):
        key_play, key_search = jax.random.split(key)
        key_init, key_search = jax.random.split(key_search)
        state, worst = strategy.init(key_init, jnp.full(len(low), 0.5), params), jnp.inf
        for key_generation in jax.random.split(key_search, GENERATIONS):
            key_ask, key_tell = jax.random.split(key_generation)
            candidates, points, state = ask(key_ask, state)
            found = jnp.concatenate([episode(key_play, point[None]) for point in points])
            state, worst = tell(key_tell, candidates, found, state), jnp.minimum(worst, jnp.min(found))
        return worst

    return search


def network_alone(name: str):
    import jax
    import jax.numpy as jnp

    from jaxrl_suite.agents.dqn import q_network

    env, params, agent, state = player_of(name)
    values = q_network(env, params, agent.info.config)[1]
    shape = (POPULATION, *env.observation_space(params).shape)

    def evaluate(observation, _):
        # What comes out goes in again, or the compiler would drop it.
        return observation + 1e-6 * jnp.mean(values(state.params, observation)), None

    def evaluations(key):
        steps = GENERATIONS * params.max_steps_in_episode
        return jax.lax.scan(evaluate, jax.random.normal(key, shape), length=steps)[0].mean()

    return jax.jit(evaluations)


def measured(search, repetitions: int) -> dict:
    import jax

    started = time.perf_counter()
    jax.block_until_ready(search(jax.random.key(99)))
    first = time.perf_counter() - started
    seconds, values = [], []
    for seed in range(repetitions):
        started = time.perf_counter()
        values.append(float(search(jax.random.key(seed))))
        seconds.append(time.perf_counter() - started)
    best = min(seconds)
    return {"rate": 1 / best, "seconds": best, "compile_seconds": first - best, "value": values[0]}


WORKERS = {"one-call": one_call, "one-by-one": one_by_one, "network-alone": network_alone}

if __name__ == "__main__":
    raise SystemExit(main())
