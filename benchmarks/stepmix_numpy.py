"""StepMix in NumPy, vectorised over seeds: what one would write without a compiler. Float64, the same equations."""

import numpy as np


def confidence(visits, states, actions, horizon, delta):
    """(beta*(n), beta(n)) for visits of any shape."""
    first, growth = np.log(3 * states * actions * horizon / delta), np.log(8 * (visits + 1)) + 1
    return first + growth, first + states * growth


def candidate_bounds(counts, rewards, baseline, scale, delta):
    """Bounds of all candidates from counts [N, H, S, A, S]: (lower [N, C] in state 0, optimistic actions [N, H, S])."""
    seeds, horizon, states, actions, _ = counts.shape
    visits = counts.sum(axis=-1)
    n = np.maximum(visits, 1)
    model = counts / n[..., None]
    one, all_functions = confidence(visits, states, actions, horizon, delta)
    root, linear = 3 * np.sqrt(scale * one / n), scale * horizon**2 * all_functions / n
    upper = lower = np.zeros((seeds, horizon + 1, states))
    optimistic = np.empty((seeds, horizon, states), int)
    for h in reversed(range(horizon)):
        rows = model[:, h, None]
        mean_upper = np.sum(rows * upper[:, :, None, None], axis=-1)
        mean_lower = np.sum(rows * lower[:, :, None, None], axis=-1)
        variance = np.sum(rows * (upper[:, :, None, None] - mean_upper[..., None]) ** 2, axis=-1)
        bonus, gap = root[:, h, None] * np.sqrt(variance), (mean_upper - mean_lower) / horizon
        cost = linear[:, h, None]
        q_upper = np.minimum(rewards[h] + bonus + 14 * cost + gap + mean_upper, horizon)
        q_lower = np.maximum(rewards[h] - bonus - 22 * cost - 2 * gap + mean_lower, 0)
        is_new = (visits[:, h] == 0)[:, None]
        q_upper, q_lower = np.where(is_new, horizon, q_upper), np.where(is_new, 0, q_lower)
        optimistic[:, h] = q_upper[:, 0].argmax(axis=-1)
        greedy = np.eye(actions)[optimistic[:, h]][:, None]
        weights = np.where((np.arange(horizon + 1) > h)[:, None, None], baseline[h], greedy)
        upper, lower = np.sum(weights * q_upper, axis=-1), np.sum(weights * q_lower, axis=-1)
    return lower[:, :, 0], optimistic


def weights_of(lower, threshold):
    """Weight of the optimistic policy at each stage, [N, H]."""
    horizon = lower.shape[1] - 1
    is_safe = lower >= threshold
    first = np.where(is_safe.any(axis=1), is_safe.argmax(axis=1), horizon + 1)
    index = np.arange(len(lower))
    here, before = lower[index, np.minimum(first, horizon)], lower[index, np.clip(first - 1, 0, horizon)]
    gap = here - before
    rho = np.clip(np.divide(here - threshold, gap, out=np.zeros_like(gap), where=gap > 0), 0, 1)
    stage = np.arange(1, horizon + 1)
    return np.where(stage < first[:, None], 0.0, np.where(stage == first[:, None], rho[:, None], 1.0))


def draw(rng, probabilities):
    cumulative = probabilities.cumsum(axis=-1)
    return (rng.random(len(probabilities))[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=-1)


def train(transitions, rewards, baseline, threshold, best, seeds, episodes, scale, delta, rng):
    """Regret of each seed, [N]: exact values of every episode's policy, summed."""
    horizon, states, actions, _ = transitions.shape
    counts = np.zeros((seeds, horizon, states, actions, states))
    index, regret = np.arange(seeds), np.zeros(seeds)
    for _ in range(episodes):
        lower, optimistic = candidate_bounds(counts, rewards, baseline, scale, delta)
        weights = weights_of(lower, threshold)[:, :, None, None]
        policy = (1 - weights) * baseline + weights * np.eye(actions)[optimistic]
        value = np.zeros((seeds, states))
        for h in reversed(range(horizon)):
            following = (value @ transitions[h].reshape(-1, states).T).reshape(seeds, states, actions)
            value = np.sum(policy[:, h] * (rewards[h] + following), axis=-1)
        regret += best - value[:, 0]
        state = np.zeros(seeds, int)
        for h in range(horizon):
            action = draw(rng, policy[index, h, state])
            following = draw(rng, transitions[h, state, action])
            counts[index, h, state, action, following] += 1
            state = following
    return regret
