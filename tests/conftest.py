"""What every test can ask for. Each kind of thing has its own plugin; what they share with the application is below."""

# A plugin stands after those it imports: pytest rewrites the assertions of what it is the first to import.
pytest_plugins = [
    "tests.postgres",
    "tests.database",
    "tests.browser",
    "tests.application",
    "tests.command_line",
    "tests.running_demo",
    "tests.foreign.providers",
]
