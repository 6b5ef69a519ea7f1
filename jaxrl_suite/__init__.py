"""jaxrl_suite: JAX-native reinforcement learning research.

    import jaxrl_suite as jrl

    env, params = jrl.make("CartPole-v1")
    agent = jrl.agents.ppo(env, params, jrl.agents.PPOConfig(learning_rate=2.5e-4))
    run = jrl.train(agent, seeds=32)
    print(jrl.results.aggregate(run.final_returns()))

Names load on first use, so that importing this package costs nothing that is not needed.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = ("agents", "envs", "learning", "results", "solvers", "training")
_NAMES = {
    "make": "jaxrl_suite.envs",
    "train": "jaxrl_suite.training",
    "sweep": "jaxrl_suite.training",
    "resume": "jaxrl_suite.training",
    "load": "jaxrl_suite.training",
    "evaluate": "jaxrl_suite.training",
    "use_cores": "jaxrl_suite.training",
    "float64": "jaxrl_suite.precision",
    "Agent": "jaxrl_suite.agent",
    "AgentInfo": "jaxrl_suite.agent",
    "agent_factory": "jaxrl_suite.agent",
    "JaxrlError": "jaxrl_suite.errors",
    "ConfigError": "jaxrl_suite.errors",
}

__all__ = [
    "Agent",
    "AgentInfo",
    "ConfigError",
    "JaxrlError",
    "__version__",
    "agent_factory",
    "agents",
    "envs",
    "evaluate",
    "float64",
    "learning",
    "load",
    "make",
    "results",
    "resume",
    "solvers",
    "sweep",
    "train",
    "training",
    "use_cores",
]

if TYPE_CHECKING:
    from jaxrl_suite import agents, envs, learning, results, solvers, training
    from jaxrl_suite.agent import Agent, AgentInfo, agent_factory
    from jaxrl_suite.envs import make
    from jaxrl_suite.errors import ConfigError, JaxrlError
    from jaxrl_suite.precision import float64
    from jaxrl_suite.training import evaluate, load, resume, sweep, train, use_cores


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"jaxrl_suite.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'jaxrl_suite' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
