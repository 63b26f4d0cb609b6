"""A pytest plugin that lets a run fail in which a test was skipped: nobody reads what a green run left out."""

import pytest


class NoSkips:
    """Remembers what was skipped, says so at the end and spoils the exit code."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has run, or not. (One that is expected to fail has.)"""
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module was read, or skipped as a whole."""
        if report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """All is over."""
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name them."""
        for nodeid in self.skipped:
            terminalreporter.write_line(f"SKIPPED, which counts as failed here: {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Join in."""
    config.pluginmanager.register(NoSkips(), "no-skips")
