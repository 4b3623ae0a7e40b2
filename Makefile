# Any Python from 3.11 on: make run PYTHON=python3.12
PYTHON ?= python3
VENV := .venv/bin
# What must run: CHECK_REQUIRES=postgres,promtool makes a skip of one of these kinds a failure (.ci/run names all).
CHECK_REQUIRES ?=
# What other programs judge: each is scripts/check_NAME.sh, and is skipped with its reason where its program is absent.
JUDGED := prometheus unit compose openapi client
UV_COMPILE = uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate

.PHONY: run test check lint judge bench lock format dev

run:
	@$(PYTHON) scripts/setup.py --no-migrate
	@exec $(VENV)/qt serve

dev:
	@$(PYTHON) scripts/setup.py --dev

test: dev
	CHECK_REQUIRES="$(CHECK_REQUIRES)" $(VENV)/python -m pytest -n 2 --dist loadfile -p tests.check_requires $(PYTEST_ARGS)

lint: dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

judge: dev
	@for name in $(JUDGED); do CHECK_REQUIRES="$(CHECK_REQUIRES)" sh scripts/check_$$name.sh || exit 1; done
	@$(VENV)/python scripts/check_image.py

# Lint, types, what is deployed and described, and every test, the architecture's among them.
check: lint judge
	@$(MAKE) --no-print-directory test CHECK_REQUIRES="slow,$(CHECK_REQUIRES)"

bench: dev
	@for file in benchmarks/bench_*.py; do \
		echo "== $$file"; $(VENV)/python -m benchmarks.$$(basename $$file .py) || exit 1; \
	done

format: dev
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

# Needs uv, a developer's tool; what it writes is installed by pip alone.
lock:
	$(UV_COMPILE) pyproject.toml --group build -o requirements.lock
	$(UV_COMPILE) pyproject.toml --group dev -o requirements-dev.lock
