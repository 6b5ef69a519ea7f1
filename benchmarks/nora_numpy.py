"""NORA in NumPy, all seeds in lockstep: what one would write without a compiler. Float64, the same equations.

`Table` knows any tabular MDP, as the suite does. `Lock` knows that it plays a combination lock: whether it is open
follows from the actions, so an episode needs no loop over stages, and neither does its exact value.
"""

import numpy as np

RIDGE = 1.0
GROWTH = np.log(2.0) + 1e-5


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def draw(cumulative, uniforms):
    """The index of each row of cumulative probabilities in which its uniform number falls."""
    return (uniforms[..., None] * cumulative[..., -1:] >= cumulative).sum(axis=-1)


def backward(visits, rewards, bonus, next_sums):
    """f [N, H, S, A] in [0, 1] of visits [N, H, S, A]; next_sums(h, values [N, S]): their sums over h's visits."""
    scale = visits + RIDGE
    base, f = visits * rewards + bonus * np.sqrt(scale), np.empty_like(scale)
    best = np.zeros(visits[:, 0, :, 0].shape)
    for h in reversed(range(visits.shape[1])):
        f[:, h] = np.clip((base[:, h] + next_sums(h, best)) / scale[:, h], 0.0, 1.0)
        best = f[:, h].max(axis=-1)
    return f


class Table:
    """Any tabular MDP: transitions [H, S, A, S], rewards [H, S, A], initial [S]; stages are walked one by one."""

    def __init__(self, transitions, rewards, initial, seeds):
        self.transitions, self.rewards, self.initial = transitions, rewards, initial
        self.cumulative, self.first = transitions.cumsum(axis=-1), np.tile(initial.cumsum(), (seeds, 1))
        self.counts = np.zeros((seeds, *transitions.shape))
        self.index = np.arange(seeds)[:, None], np.arange(len(rewards))

    def play(self, policy, rng):
        """One episode of every seed, counted: (states, actions), [N, H] each."""
        seeds, stages = self.index
        cumulative, uniforms = policy.cumsum(axis=-1), rng.random((2 * len(self.rewards) + 1, len(seeds)))
        state, one = draw(self.first, uniforms[0]), seeds[:, 0]
        states, actions, following = (np.empty((len(seeds), len(self.rewards)), int) for _ in range(3))
        for h in range(len(self.rewards)):
            states[:, h] = state
            actions[:, h] = action = draw(cumulative[one, h, state], uniforms[2 * h + 1])
            following[:, h] = state = draw(self.cumulative[h, state, action], uniforms[2 * h + 2])
        self.counts[seeds, stages, states, actions, following] += 1
        return states, actions

    def value(self, policy):
        value = np.zeros((len(policy), len(self.initial)))
        flat = self.transitions.reshape(len(self.rewards), -1, len(self.initial))
        for h in reversed(range(len(self.rewards))):
            following = (value @ flat[h].T).reshape(policy[:, h].shape)
            value = (policy[:, h] * (self.rewards[h] + following)).sum(axis=-1)
        return value @ self.initial

    def fit(self, chosen, visits, bonus):
        counts = self.counts[chosen]
        return backward(visits, self.rewards, bonus, lambda h, best: (counts[:, h] @ best[:, None, :, None])[..., 0])


class Lock:
    """A combination lock: state 0 open, 1 shut; at each stage one action keeps it open, and open at the end pays 1."""

    def __init__(self, code, actions, seeds):
        self.code = code
        self.is_right = np.arange(actions) == code[:, None]
        self.rewards = np.zeros((len(code), 2, actions))
        self.rewards[-1, 0] = self.is_right[-1]
        self.seeds, self.stages = np.arange(seeds)[:, None], np.arange(len(code))

    def play(self, policy, rng):
        """One episode of every seed: (states, actions), [N, H] each. Actions are drawn for both states at once."""
        chosen = draw(policy.cumsum(axis=-1), rng.random(policy.shape[:-1]))
        was_open = np.logical_and.accumulate(chosen[:, :, 0] == self.code, axis=1)
        states = np.ones(was_open.shape, int)
        states[:, 0], states[:, 1:] = 0, ~was_open[:, :-1]
        return states, np.where(states, chosen[:, :, 1], chosen[:, :, 0])

    def value(self, policy):
        return policy[:, self.stages, 0, self.code].prod(axis=-1)

    def fit(self, chosen, visits, bonus):
        def next_sums(h, best):
            following = np.where(self.is_right[h], best[:, :1], best[:, 1:])
            return visits[:, h] * np.stack([following, np.broadcast_to(best[:, 1:], following.shape)], axis=1)

        return backward(visits, self.rewards, bonus, next_sums)


def train(task, best, seeds, episodes, step_size, bonus, rng):
    """(regret [N], switches [N]): exact values of every episode's policy, summed; how often the critic was fitted."""
    shape = (seeds, *task.rewards.shape)
    visits, steps = np.zeros(shape), np.zeros(seeds)
    critic = task.fit(slice(None), visits, bonus)
    growth = np.zeros(shape[:2])
    rows, stages = np.arange(seeds)[:, None], np.arange(shape[1])
    regret, switches = np.zeros(seeds), np.zeros(seeds, int)
    for _ in range(episodes):
        policy = softmax((step_size * steps)[:, None, None, None] * critic)
        regret += best - task.value(policy)
        states, actions = task.play(policy, rng)
        met = rows, stages, states, actions
        before = visits[met]
        visits[met] = before + 1
        growth += np.log1p(1 / (before + RIDGE))
        steps += 1
        chosen = np.flatnonzero((growth > GROWTH).any(axis=1))
        if chosen.size:
            critic[chosen] = task.fit(chosen, visits[chosen], bonus)
            growth[chosen], steps[chosen] = 0, 0
            switches[chosen] += 1
    return regret, switches
