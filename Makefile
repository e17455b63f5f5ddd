# What a developer types; the work is done by bin/test, which sets up the environment first.

all: test

test:
	bin/test

unit:
	bin/test unit

lint:
	bin/test lint

types:
	bin/test types

# Side by side with other relays and a ceiling, under 10 minutes; see tests/bench/README.md.
bench:
	@. etc/venv.sh && venv_ready . test && exec .venv/bin/python -m tests.bench.run $(BENCH)

# The virtual environment stays: it is expensive, and nothing that is built goes into it.
clean:
	rm -rf build dist *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find lonc tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: all test unit lint types bench clean
