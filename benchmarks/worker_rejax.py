"""Times Rejax's PPO: one measurement a process, one line of JSON.

The peer's own scores come from an evaluation callback. Here that callback gives nothing, so the timed program holds
training alone, and the peer's `evaluate` (128 episodes of the final policy, actions sampled) runs after the clock has
stopped. Rejax's PPO has no learning-rate annealing, no orthogonal initialisation, clips gradients by value, and updates
actor and critic apart; it keeps no training returns.
"""

import worker_common as common


def main() -> None:
    arguments = common.parse()
    import jax
    from rejax import PPO
    from rejax.evaluate import evaluate

    settings = common.SETTINGS
    same_names = ("num_envs", "num_epochs", "num_minibatches", "learning_rate", "max_grad_norm", "gae_lambda")
    algorithm = PPO.create(
        env=common.ENV_ID,
        agent_kwargs={"activation": settings["activation"], "hidden_layer_sizes": (64, 64)},
        num_steps=settings["rollout_length"],
        gamma=settings["discount"],
        **{name: settings[name] for name in (*same_names, "clip_eps", "ent_coef", "vf_coef")},
        total_timesteps=common.total_env_steps(arguments.updates),
        eval_freq=common.total_env_steps(arguments.updates),
        skip_initial_evaluation=True,
    ).replace(eval_callback=lambda algorithm, state, key: ())

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
