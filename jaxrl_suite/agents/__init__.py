"""Agents: one file an algorithm, readable from top to bottom beside its paper. Names load on first use."""

import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jaxrl_suite.errors import UnknownNameError
from jaxrl_suite.lazy import lazy_names

_BASELINES = "conservative_baselines"

MODULES = {
    "ppo": "ppo",
    "a2c": "a2c",
    "dqn": "dqn",
    "pqn": "pqn",
    "sac": "sac",
    "td3": "td3",
    "m2td3": "m2td3",
    "rarl": "rarl",
    "stepmix": "stepmix",
    "epsmix": "stepmix",
    "baseline_only": _BASELINES,
    "bpi_ucbvi": _BASELINES,
    "budget_exploration": _BASELINES,
    "dope": "linear_programs",
    "opt_pess_lp": "linear_programs",
    "sqirl": "sqirl",
    "sqirl_theory": "sqirl_theory",
    "gorp": "gorp",
    "nora": "nora",
    "nora_linear": "nora_linear",
    "nora_deep": "nora_deep",
    "lsvi_ucb": "lsvi_ucb",
    "lsvi_ucb_plus_plus": "lsvi_ucb_plus_plus",
    "nora_finite": "nora_finite",
    "noah": "nora",
    "optimistic_npg": "optimistic_npg",
    "douhua": "nora",
    "mmd": "mirror_descent",
    "mmd_sequence_form": "sequence_form_mmd",
    "mmd_sampled": "sampled_mmd",
    "cfr": "cfr",
    "deep_mmd": "deep_mmd",
    "iwocs": "iwocs",
    "nfsp": "nfsp",
    "deep_iwocs": "deep_iwocs",
    "sac_iwocs": "sac_iwocs",
    "adversarial_dqn": "robust_dqn",
    "soft_pair": "soft_pair",
    "qarl": "qarl",
    "cat": "cat",
    "mixed_nash": "mixed_nash",
    "uniform_play": "fixed",
    "first_action": "fixed",
    "table_play": "fixed",
}
"""Agents by name on the command line, and the module that holds the factory of that name."""

_CONFIGS = {
    "PPOConfig": "ppo",
    "A2CConfig": "a2c",
    "DQNConfig": "dqn",
    "PQNConfig": "pqn",
    "SACConfig": "sac",
    "TD3Config": "td3",
    "M2TD3Config": "m2td3",
    "RARLConfig": "rarl",
    "ConservativeConfig": "conservative_task",
    "LinearProgramConfig": "linear_programs",
    "SQIRLConfig": "sqirl",
    "SQIRLTheoryConfig": "sqirl_theory",
    "GORPConfig": "gorp",
    "NORAConfig": "nora",
    "LinearNORAConfig": "nora_linear",
    "DeepNORAConfig": "nora_deep",
    "LSVIConfig": "lsvi_ucb",
    "LSVIPlusPlusConfig": "lsvi_ucb_plus_plus",
    "FiniteNORAConfig": "nora_finite",
    "NOAHConfig": "nora",
    "OptimisticNPGConfig": "optimistic_npg",
    "DOUHUAConfig": "nora",
    "MMDConfig": "mirror_descent",
    "SequenceFormMMDConfig": "sequence_form_mmd",
    "SampledMMDConfig": "sampled_mmd",
    "CFRConfig": "cfr",
    "DeepMMDConfig": "deep_mmd",
    "NFSPConfig": "nfsp",
    "DeepIWOCSConfig": "deep_iwocs",
    "SACIWOCSConfig": "sac_iwocs",
    "AdversarialDQNConfig": "robust_dqn",
    "SoftPairConfig": "soft_pair",
    "QARLConfig": "qarl",
    "opposed": "qarl",
    "CATConfig": "cat",
    "MixedNashConfig": "mixed_nash",
    "kernel_returns": "robust_blocks",
    "FixedConfig": "fixed",
    "IWOCSConfig": "iwocs",
    "SearchConfig": "search",
    "SearchState": "search",
    "search": "search",
    "searcher": "search",
    "exact_hands": "hanabi_beliefs",
    "HandConfig": "learned_hands",
    "learn_hands": "learned_hands",
    "learned_hands": "learned_hands",
    "judge_of": "judging",
    "judged": "judging",
    "offline_policy": "nora",
}

__all__ = [
    "MODULES",
    "A2CConfig",
    "AdversarialDQNConfig",
    "CATConfig",
    "CFRConfig",
    "ConservativeConfig",
    "DOUHUAConfig",
    "DQNConfig",
    "DeepIWOCSConfig",
    "DeepMMDConfig",
    "DeepNORAConfig",
    "FiniteNORAConfig",
    "FixedConfig",
    "GORPConfig",
    "HandConfig",
    "IWOCSConfig",
    "LSVIConfig",
    "LSVIPlusPlusConfig",
    "LinearNORAConfig",
    "LinearProgramConfig",
    "M2TD3Config",
    "MMDConfig",
    "MixedNashConfig",
    "NFSPConfig",
    "NOAHConfig",
    "NORAConfig",
    "OptimisticNPGConfig",
    "PPOConfig",
    "PQNConfig",
    "QARLConfig",
    "RARLConfig",
    "SACConfig",
    "SACIWOCSConfig",
    "SQIRLConfig",
    "SQIRLTheoryConfig",
    "SampledMMDConfig",
    "SearchConfig",
    "SearchState",
    "SequenceFormMMDConfig",
    "SoftPairConfig",
    "TD3Config",
    "a2c",
    "adversarial_dqn",
    "agent_named",
    "baseline_only",
    "bpi_ucbvi",
    "budget_exploration",
    "cat",
    "cfr",
    "deep_iwocs",
    "deep_mmd",
    "dope",
    "douhua",
    "dqn",
    "epsmix",
    "exact_hands",
    "first_action",
    "gorp",
    "iwocs",
    "judge_of",
    "judged",
    "kernel_returns",
    "learn_hands",
    "learned_hands",
    "lsvi_ucb",
    "lsvi_ucb_plus_plus",
    "m2td3",
    "mixed_nash",
    "mmd",
    "mmd_sampled",
    "mmd_sequence_form",
    "nfsp",
    "noah",
    "nora",
    "nora_deep",
    "nora_finite",
    "nora_linear",
    "offline_policy",
    "opposed",
    "opt_pess_lp",
    "optimistic_npg",
    "ppo",
    "pqn",
    "qarl",
    "rarl",
    "sac",
    "sac_iwocs",
    "search",
    "searcher",
    "soft_pair",
    "sqirl",
    "sqirl_theory",
    "stepmix",
    "table_play",
    "td3",
    "uniform_play",
]

if TYPE_CHECKING:
    from jaxrl_suite.agents.a2c import A2CConfig, a2c
    from jaxrl_suite.agents.cat import CATConfig, cat
    from jaxrl_suite.agents.cfr import CFRConfig, cfr
    from jaxrl_suite.agents.conservative_baselines import baseline_only, bpi_ucbvi, budget_exploration
    from jaxrl_suite.agents.conservative_task import ConservativeConfig
    from jaxrl_suite.agents.deep_iwocs import DeepIWOCSConfig, deep_iwocs
    from jaxrl_suite.agents.deep_mmd import DeepMMDConfig, deep_mmd
    from jaxrl_suite.agents.dqn import DQNConfig, dqn
    from jaxrl_suite.agents.fixed import FixedConfig, first_action, table_play, uniform_play
    from jaxrl_suite.agents.gorp import GORPConfig, gorp
    from jaxrl_suite.agents.hanabi_beliefs import exact_hands
    from jaxrl_suite.agents.iwocs import IWOCSConfig, iwocs
    from jaxrl_suite.agents.judging import judge_of, judged
    from jaxrl_suite.agents.learned_hands import HandConfig, learn_hands, learned_hands
    from jaxrl_suite.agents.linear_programs import LinearProgramConfig, dope, opt_pess_lp
    from jaxrl_suite.agents.lsvi_ucb import LSVIConfig, lsvi_ucb
    from jaxrl_suite.agents.lsvi_ucb_plus_plus import LSVIPlusPlusConfig, lsvi_ucb_plus_plus
    from jaxrl_suite.agents.m2td3 import M2TD3Config, m2td3
    from jaxrl_suite.agents.mirror_descent import MMDConfig, mmd
    from jaxrl_suite.agents.mixed_nash import MixedNashConfig, mixed_nash
    from jaxrl_suite.agents.nfsp import NFSPConfig, nfsp
    from jaxrl_suite.agents.nora import DOUHUAConfig, NOAHConfig, NORAConfig, douhua, noah, nora, offline_policy
    from jaxrl_suite.agents.nora_deep import DeepNORAConfig, nora_deep
    from jaxrl_suite.agents.nora_finite import FiniteNORAConfig, nora_finite
    from jaxrl_suite.agents.nora_linear import LinearNORAConfig, nora_linear
    from jaxrl_suite.agents.optimistic_npg import OptimisticNPGConfig, optimistic_npg
    from jaxrl_suite.agents.ppo import PPOConfig, ppo
    from jaxrl_suite.agents.pqn import PQNConfig, pqn
    from jaxrl_suite.agents.qarl import QARLConfig, opposed, qarl
    from jaxrl_suite.agents.rarl import RARLConfig, rarl
    from jaxrl_suite.agents.robust_blocks import kernel_returns
    from jaxrl_suite.agents.robust_dqn import AdversarialDQNConfig, adversarial_dqn
    from jaxrl_suite.agents.sac import SACConfig, sac
    from jaxrl_suite.agents.sac_iwocs import SACIWOCSConfig, sac_iwocs
    from jaxrl_suite.agents.sampled_mmd import SampledMMDConfig, mmd_sampled
    from jaxrl_suite.agents.search import SearchConfig, SearchState, search, searcher
    from jaxrl_suite.agents.sequence_form_mmd import SequenceFormMMDConfig, mmd_sequence_form
    from jaxrl_suite.agents.soft_pair import SoftPairConfig, soft_pair
    from jaxrl_suite.agents.sqirl import SQIRLConfig, sqirl
    from jaxrl_suite.agents.sqirl_theory import SQIRLTheoryConfig, sqirl_theory
    from jaxrl_suite.agents.stepmix import epsmix, stepmix
    from jaxrl_suite.agents.td3 import TD3Config, td3


def agent_named(name: str) -> Callable[..., Any]:
    """The factory of that name, which carries its `config_class`. Raises UnknownNameError."""
    if name not in MODULES:
        raise UnknownNameError("agent", name, MODULES)
    return getattr(sys.modules[__name__], name)


__getattr__, __dir__ = lazy_names(__name__, MODULES | _CONFIGS)


class _Package(types.ModuleType):
    """Importing `agents.ppo` binds that module to the name of its factory here: the factory takes its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name, value) if isinstance(value, types.ModuleType) else value)


sys.modules[__name__].__class__ = _Package
