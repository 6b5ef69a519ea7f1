"""`agents.NAME` is the factory, whatever was imported before."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "imports",
    ["import jaxrl_suite", "import jaxrl_suite.agents.ppo", "from jaxrl_suite.agents.ppo import PPOConfig"],
)
def test_an_agents_name_is_its_factory(imports):
    program = f"""
{imports}
import jaxrl_suite as jrl
assert jrl.agents.ppo is jrl.agents.agent_named("ppo")
assert jrl.agents.ppo.config_class is jrl.agents.PPOConfig
"""
    subprocess.run([sys.executable, "-c", program], check=True)
