"""Environments: everything that can be stepped, behind one interface (`jaxrl_suite.agent.Environment`).

env, params = make("CartPole-v1")                       # by name: list_envs()
env = adapt(MyEnvironment())                            # your own gymnax-style object; env.default_params
register("my-env", MyEnvironment)                       # or give it a name
env = EpisodeStatistics(TimeLimit(env, 100))            # wrappers
"""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

if TYPE_CHECKING:
    from jaxrl_suite.envs.adapter import adapt
    from jaxrl_suite.envs.base import BaseEnv
    from jaxrl_suite.envs.bridge import read_bridge
    from jaxrl_suite.envs.enumeration import enumerate_env
    from jaxrl_suite.envs.gridworld_images import grid_image
    from jaxrl_suite.envs.gridworlds import GridWorld
    from jaxrl_suite.envs.recorded import dataset_counts, record_episodes
    from jaxrl_suite.envs.registry import list_envs, make, register, register_family
    from jaxrl_suite.envs.robust_tabular import KernelEnv, KernelMDP
    from jaxrl_suite.envs.successors import SuccessorMDP
    from jaxrl_suite.envs.table_env import TableEnv
    from jaxrl_suite.envs.tabular import TabularEnv, TabularMDP
    from jaxrl_suite.envs.vector import VectorEnv
    from jaxrl_suite.envs.wrappers import EpisodeStatistics, StickyActions, TimeLimit

_HOMES = {
    "BaseEnv": "base",
    "EpisodeStatistics": "wrappers",
    "GridWorld": "gridworlds",
    "KernelEnv": "robust_tabular",
    "KernelMDP": "robust_tabular",
    "StickyActions": "wrappers",
    "SuccessorMDP": "successors",
    "TableEnv": "table_env",
    "TabularEnv": "tabular",
    "TabularMDP": "tabular",
    "TimeLimit": "wrappers",
    "VectorEnv": "vector",
    "adapt": "adapter",
    "dataset_counts": "recorded",
    "enumerate_env": "enumeration",
    "grid_image": "gridworld_images",
    "list_envs": "registry",
    "make": "registry",
    "read_bridge": "bridge",
    "record_episodes": "recorded",
    "register": "registry",
    "register_family": "registry",
}

__all__ = [
    "BaseEnv",
    "EpisodeStatistics",
    "GridWorld",
    "KernelEnv",
    "KernelMDP",
    "StickyActions",
    "SuccessorMDP",
    "TableEnv",
    "TabularEnv",
    "TabularMDP",
    "TimeLimit",
    "VectorEnv",
    "adapt",
    "dataset_counts",
    "enumerate_env",
    "grid_image",
    "list_envs",
    "make",
    "read_bridge",
    "record_episodes",
    "register",
    "register_family",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
