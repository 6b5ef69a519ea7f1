"""Times Rejax's PPO, DQN, PQN or SAC: one measurement a process, one line of JSON.

The peer's own scores come from an evaluation callback. Here that callback gives nothing, so the timed program holds
training alone, and the peer's `evaluate` (128 episodes of the final policy, actions sampled) runs after the clock has
stopped. Rejax's PPO has no learning-rate annealing, no orthogonal initialisation, clips gradients by value, and updates
actor and critic apart; its DQN has the squared loss, takes minibatches without replacement, acts by chance until
learning starts and takes one step of all environments an iteration, so `train_frequency` is 1; its PQN has Adam for
RAdam and scales no rewards; its SAC clips the log of the standard deviation where ours bends it, takes no random
actions first, and minibatches without replacement. None keeps training returns.
"""

import argparse
from typing import Any

import worker_common as common


def ppo_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = common.PPO_SETTINGS
    same_names = ("num_epochs", "num_minibatches", "gae_lambda", "clip_eps", "ent_coef", "vf_coef")
    return {name: settings[name] for name in same_names} | {"num_steps": settings["rollout_length"]}


def dqn_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = common.DQN_SETTINGS
    return {
        "num_epochs": settings["gradient_steps"],
        "batch_size": settings["batch_size"],
        "buffer_size": arguments.buffer_size,
        "fill_buffer": settings["learning_starts"],
        "exploration_fraction": settings["exploration_fraction"],
        "eps_end": settings["final_epsilon"],
        "target_update_freq": settings["target_period"],
        "polyak": 0.0,
        "ddqn": settings["double"],
    }


def pqn_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = common.PQN_SETTINGS
    same_names = ("num_epochs", "num_minibatches", "exploration_fraction")
    return {name: settings[name] for name in same_names} | {
        "num_steps": settings["rollout_length"],
        "td_lambda": settings["q_lambda"],
        "eps_end": settings["final_epsilon"],
    }


def sac_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = common.SAC_SETTINGS
    return {
        "num_epochs": settings["gradient_steps"],
        "batch_size": settings["batch_size"],
        "buffer_size": arguments.buffer_size,
        "fill_buffer": settings["learning_starts"],
        "polyak": 1 - settings["polyak"],
        "learning_rate": settings["actor_rate"],
    }


OWN = {"ppo": ppo_settings, "dqn": dqn_settings, "pqn": pqn_settings, "sac": sac_settings}


def main() -> None:
    arguments = common.parse()
    import jax
    import rejax
    from rejax.evaluate import evaluate

    settings = common.SETTINGS[arguments.algorithm]
    # Its DQN and PQN have layers of 64 and take no other sizes.
    sizes = {"hidden_layer_sizes": common.HIDDEN_SIZES["ppo"]} if arguments.algorithm == "ppo" else {}
    own = OWN[arguments.algorithm](arguments)
    algorithm = (
        getattr(rejax, arguments.algorithm.upper())
        .create(
            env=common.ENV_IDS[arguments.algorithm],
            agent_kwargs={"activation": settings["activation"], **sizes},
            gamma=settings["discount"],
            **{name: settings[name] for name in ("num_envs", "learning_rate", "max_grad_norm") if name in settings},
            **own,
            total_timesteps=common.total_env_steps(arguments),
            eval_freq=common.total_env_steps(arguments),
            skip_initial_evaluation=True,
        )
        .replace(eval_callback=lambda algorithm, state, key: ())
    )
    if arguments.algorithm == "pqn":
        wider = algorithm.agent.clone(hidden_layer_sizes=common.HIDDEN_SIZES["pqn"])
        algorithm = algorithm.replace(agent=wider)

    keys = common.member_keys(arguments.members, arguments.seed_start, arguments.devices)
    (state, _), seconds = common.time_batched(algorithm.train, keys)
    peak = common.peak_rss_bytes()

    def score(member_state, key):
        act = algorithm.make_act(member_state)
        horizon = algorithm.env_params.max_steps_in_episode
        _, returns = evaluate(act, key, algorithm.env, algorithm.env_params, common.EVALUATION_EPISODES, horizon)
        return returns.mean()

    common.report(arguments, peak, {"evaluated_returns": jax.jit(jax.vmap(score))(state, keys)}, **seconds)


if __name__ == "__main__":
    main()
