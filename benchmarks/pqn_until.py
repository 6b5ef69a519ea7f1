"""How many seconds PQN trains on CartPole-v1 until its greedy policies are good. A script, one line of JSON.

Members train together and stop every few updates; greedy episodes are played and compiling is done while the clock
stands still.
"""

import argparse
import json
import time

import worker_common as common

EPISODES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--level", type=float, default=490.0)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--updates", type=int, default=244)
    arguments = parser.parse_args()
    print(json.dumps(measure(**vars(arguments))), flush=True)


def measure(members: int, level: float, every: int, updates: int) -> dict:
    import jax
    import jax.numpy as jnp

    import jaxrl_suite as jrl

    jrl.use_cores()
    settings = common.PQN_SETTINGS | {"total_updates": updates, "hidden_sizes": common.HIDDEN_SIZES["pqn"]}
    agent = jrl.agents.pqn(*jrl.make(common.ENV_IDS["pqn"]), jrl.agents.PQNConfig(**settings))
    devices = jax.device_count() if members % jax.device_count() == 0 else 1
    keys = jax.vmap(jax.random.wrap_key_data)(common.member_keys(members, 0, devices))

    def some_updates(keys, state, first):
        def one(state, step):
            update_keys = jax.vmap(lambda key: jax.random.fold_in(key, step + 1))(keys)
            return jax.vmap(agent.update, (0, 0, None))(update_keys, state, step)[0], None

        return jax.lax.scan(one, state, first + jnp.arange(every))[0]

    started = time.perf_counter()
    # The compiled program takes back what it gave only where both are spread over the devices alike.
    spread = {"out_shardings": keys.sharding}
    state = jax.jit(jax.vmap(lambda key: agent.init(jax.random.fold_in(key, 0))), **spread)(keys)
    program = jax.jit(some_updates, donate_argnums=1, **spread).lower(keys, state, jnp.int32(0)).compile()
    compile_seconds, seconds, curve = time.perf_counter() - started, 0.0, []
    for done in range(every, updates + 1, every):
        started = time.perf_counter()
        state = jax.block_until_ready(program(keys, state, jnp.int32(done - every)))
        seconds += time.perf_counter() - started
        returns = jrl.evaluate(agent, state, seeds=range(members), episodes=EPISODES, greedy=True).returns.mean(axis=-1)
        steps = done * common.ENV_STEPS_PER_UPDATE["pqn"]
        curve.append({"env_steps": steps, "seconds": seconds, "returns": returns.tolist()})
        if returns.mean() >= level:
            break
    reached = bool(returns.mean() >= level)
    return {
        "members": members,
        "level": level,
        "reached": reached,
        "seconds": seconds if reached else None,
        "env_steps": steps if reached else None,
        "compile_seconds": compile_seconds,
        "episodes": EPISODES,
        "curve": curve,
    }


if __name__ == "__main__":
    main()
