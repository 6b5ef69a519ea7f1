"""jaxrl_suite: JAX-native reinforcement learning research.

    import jaxrl_suite as jrl

    env, params = jrl.make("CartPole-v1")
    agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(learning_rate=2.5e-4))
    run = jrl.train(agent, seeds=32)
    print(jrl.results.aggregate(run.final_returns()))

Names load on first use, so that importing this package costs nothing that is not needed.
"""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

__version__ = "0.1.0"

_MODULES = ("agents", "drawing", "envs", "games", "learning", "results", "solvers", "training")
_HOMES = {
    "make": "envs",
    "train": "training",
    "sweep": "training",
    "resume": "training",
    "load": "training",
    "evaluate": "training",
    "render": "drawing",
    "use_cores": "training",
    "float64": "precision",
    "Agent": "agent",
    "AgentInfo": "agent",
    "agent_factory": "agent",
    "JaxrlError": "errors",
    "ConfigError": "errors",
}

__all__ = [
    "Agent",
    "AgentInfo",
    "ConfigError",
    "JaxrlError",
    "__version__",
    "agent_factory",
    "agents",
    "drawing",
    "envs",
    "evaluate",
    "float64",
    "games",
    "learning",
    "load",
    "make",
    "render",
    "results",
    "resume",
    "solvers",
    "sweep",
    "train",
    "training",
    "use_cores",
]

if TYPE_CHECKING:
    from jaxrl_suite import agents, drawing, envs, games, learning, results, solvers, training
    from jaxrl_suite.agent import Agent, AgentInfo, agent_factory
    from jaxrl_suite.drawing import render
    from jaxrl_suite.envs import make
    from jaxrl_suite.errors import ConfigError, JaxrlError
    from jaxrl_suite.precision import float64
    from jaxrl_suite.training import evaluate, load, resume, sweep, train, use_cores

__getattr__, __dir__ = lazy_names(__name__, _HOMES, _MODULES)
