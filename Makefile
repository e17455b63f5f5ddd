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

# Every row of the fault matrix, every campaign, every feature taken away once; writes doc/proof.md. Says first how
# long it takes, may be interrupted, goes on there the next time. STEPS="row kills" for a part of it.
prove:
	@. etc/venv.sh && venv_ready . test && exec .venv/bin/python -m tests.proof $(STEPS)

# 20 peers under mixed faults for HOURS, with leak meters; the result is added to doc/proof.md.
HOURS = 8
soak:
	@. etc/venv.sh && venv_ready . test && exec .venv/bin/python -m tests.soak --hours $(HOURS)

# A million mutated inputs by default; FUZZ="--atheris lines" finds new ones by coverage.
FUZZ = --inputs 1000000
fuzz:
	@. etc/venv.sh && venv_ready . test && case "$(FUZZ)" in *--atheris*) venv_ready . proof ;; esac && \
		exec .venv/bin/python -m tests.fuzz $(FUZZ)

# Changes one thing at a time in the pure modules and the queue, and runs their tests; writes doc/mutation.md.
mutation:
	@. etc/venv.sh && venv_ready . test && venv_ready . proof && exec .venv/bin/python -m tests.mutation $(PARTS)

# The virtual environment stays: it is expensive, and nothing that is built goes into it.
clean:
	rm -rf build dist *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find lonc tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: all test unit lint types bench prove soak fuzz mutation clean
