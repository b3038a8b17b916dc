"""Run the Python programs of agents in a sandbox. `Sandbox` is the interface for the other folders."""
