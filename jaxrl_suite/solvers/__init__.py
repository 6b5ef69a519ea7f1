"""Exact truth, in float64: what policies are worth, and the best there is. Names load on first use.

Functions take a `TabularMDP` (or anything with its fields), are pure, and may be vmapped over MDPs and policies under
`jaxrl_suite.float64()`. Called plainly they compile by themselves and return NumPy arrays.
"""

from typing import TYPE_CHECKING

from jaxrl_suite.lazy import lazy_names

if TYPE_CHECKING:
    from jaxrl_suite.solvers.boards import board_values
    from jaxrl_suite.solvers.coverage import concentrability, feature_coverage, feature_partition
    from jaxrl_suite.solvers.dark_boards import DarkResponses, dark_responses, dark_uniform_value
    from jaxrl_suite.solvers.dynamic_programming import (
        Evaluation,
        Solution,
        occupancy,
        policy_evaluation,
        policy_iteration,
        value_iteration,
    )
    from jaxrl_suite.solvers.effective_horizon import (
        action_gaps,
        covering_length,
        greedy_returns,
        planning_values,
        planning_window,
        reachable,
        simple_bound,
        solvable_depth,
        stochastic_effective_horizons,
    )
    from jaxrl_suite.solvers.equilibria import (
        agent_quantal_response,
        nash_equilibrium,
        quantal_response,
        saddle_gap,
    )
    from jaxrl_suite.solvers.markov_games import (
        MarkovEquilibrium,
        MatrixEquilibrium,
        independent_soft,
        matrix_nash,
        matrix_nash_conv,
        matrix_quantal_response,
        shapley,
        soft_shapley,
    )
    from jaxrl_suite.solvers.plans import plan_value
    from jaxrl_suite.solvers.random_play_search import gorp_episodes, gorp_success
    from jaxrl_suite.solvers.robust_dynamic_programming import (
        RobustEvaluation,
        RobustSolution,
        robust_policy_evaluation,
        robust_policy_iteration,
        robust_value_iteration,
    )
    from jaxrl_suite.solvers.robust_sets import (
        Box,
        ChiSquareBall,
        Contamination,
        FiniteKernels,
        Interval,
        KLBall,
        L1Ball,
        StateL1Ball,
    )
    from jaxrl_suite.solvers.sample_complexity import (
        GorpHorizon,
        effective_horizon_bound,
        gorp_effective_horizon,
        planning_window_bound,
        ucb_steps,
        worst_case_steps,
    )
    from jaxrl_suite.solvers.tree_games import best_response, expected_returns, exploitability, nash_conv

_EFFECTIVE_HORIZON = (
    "action_gaps",
    "covering_length",
    "greedy_returns",
    "planning_values",
    "planning_window",
    "reachable",
    "simple_bound",
    "solvable_depth",
    "stochastic_effective_horizons",
)
_SAMPLE_COMPLEXITY = (
    "GorpHorizon",
    "effective_horizon_bound",
    "gorp_effective_horizon",
    "planning_window_bound",
    "ucb_steps",
    "worst_case_steps",
)
_EQUILIBRIA = ("agent_quantal_response", "nash_equilibrium", "quantal_response", "saddle_gap")
_MARKOV_GAMES = (
    "MarkovEquilibrium",
    "MatrixEquilibrium",
    "independent_soft",
    "matrix_nash",
    "matrix_nash_conv",
    "matrix_quantal_response",
    "shapley",
    "soft_shapley",
)
_TREE_GAMES = ("best_response", "expected_returns", "exploitability", "nash_conv")
_DARK_BOARDS = ("DarkResponses", "dark_responses", "dark_uniform_value")
_ROBUST = (
    "RobustEvaluation",
    "RobustSolution",
    "robust_policy_evaluation",
    "robust_policy_iteration",
    "robust_value_iteration",
)
_SETS = ("Box", "ChiSquareBall", "Contamination", "FiniteKernels", "Interval", "KLBall", "L1Ball", "StateL1Ball")
_HOMES = {
    "Evaluation": "dynamic_programming",
    "Solution": "dynamic_programming",
    "occupancy": "dynamic_programming",
    "policy_evaluation": "dynamic_programming",
    "policy_iteration": "dynamic_programming",
    "value_iteration": "dynamic_programming",
    **dict.fromkeys(_EFFECTIVE_HORIZON, "effective_horizon"),
    **dict.fromkeys(_SAMPLE_COMPLEXITY, "sample_complexity"),
    "board_values": "boards",
    "concentrability": "coverage",
    "feature_coverage": "coverage",
    "feature_partition": "coverage",
    **dict.fromkeys(_DARK_BOARDS, "dark_boards"),
    **dict.fromkeys(_MARKOV_GAMES, "markov_games"),
    "plan_value": "plans",
    **dict.fromkeys(_TREE_GAMES, "tree_games"),
    **dict.fromkeys(_EQUILIBRIA, "equilibria"),
    **dict.fromkeys(_ROBUST, "robust_dynamic_programming"),
    **dict.fromkeys(_SETS, "robust_sets"),
    "gorp_episodes": "random_play_search",
    "gorp_success": "random_play_search",
}

__all__ = [
    "Box",
    "ChiSquareBall",
    "Contamination",
    "DarkResponses",
    "Evaluation",
    "FiniteKernels",
    "GorpHorizon",
    "Interval",
    "KLBall",
    "L1Ball",
    "MarkovEquilibrium",
    "MatrixEquilibrium",
    "RobustEvaluation",
    "RobustSolution",
    "Solution",
    "StateL1Ball",
    "action_gaps",
    "agent_quantal_response",
    "best_response",
    "board_values",
    "concentrability",
    "covering_length",
    "dark_responses",
    "dark_uniform_value",
    "effective_horizon_bound",
    "expected_returns",
    "exploitability",
    "feature_coverage",
    "feature_partition",
    "gorp_effective_horizon",
    "gorp_episodes",
    "gorp_success",
    "greedy_returns",
    "independent_soft",
    "matrix_nash",
    "matrix_nash_conv",
    "matrix_quantal_response",
    "nash_conv",
    "nash_equilibrium",
    "occupancy",
    "plan_value",
    "planning_values",
    "planning_window",
    "planning_window_bound",
    "policy_evaluation",
    "policy_iteration",
    "quantal_response",
    "reachable",
    "robust_policy_evaluation",
    "robust_policy_iteration",
    "robust_value_iteration",
    "saddle_gap",
    "shapley",
    "simple_bound",
    "soft_shapley",
    "solvable_depth",
    "stochastic_effective_horizons",
    "ucb_steps",
    "value_iteration",
    "worst_case_steps",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
