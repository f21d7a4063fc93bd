"""CPU-seconds of every test, user and system, children included: they vary less with load than seconds do."""

import os

import pytest

SHOWN = 15


def spent() -> float:
    """CPU-seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


class CpuTimes:
    """Adds the CPU time of a test to its last report; shows the sum and the most expensive tests at the end."""

    def __init__(self) -> None:
        self._began = 0.0
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self):
        self._began = spent()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call):
        report = yield
        if call.when == "teardown":
            report.user_properties.append(("cpu_seconds", round(spent() - self._began, 2)))
        return report

    def pytest_runtest_logreport(self, report):
        for name, value in report.user_properties:
            if name == "cpu_seconds":
                self._seconds[report.nodeid] = value

    def pytest_terminal_summary(self, terminalreporter):
        shown = sorted(self._seconds.items(), key=lambda item: -item[1])[:SHOWN]
        terminalreporter.section(f"{sum(self._seconds.values()):,.0f} CPU-seconds in tests; the most expensive")
        for name, seconds in shown:
            terminalreporter.line(f"{seconds:7.1f}  {name}")
