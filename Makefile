# Every target sets up what it needs. PYTHON is the Python to develop with; the peers want the newest one that is found.
PYTHON ?= python3
NEWEST := $(shell for v in 3.14 3.13 3.12; do \
	for p in python$$v $(HOME)/.pyenv/versions/$$v.*/bin/python; do "$$p" -c "" 2>/dev/null && echo $$p && exit; done; done)
CORE = src/azarr/errors.py src/azarr/document.py src/azarr/limits.py src/azarr/context.py src/azarr/dtypes.py src/azarr/fill_values.py \
	src/azarr/grid.py src/azarr/metadata.py src/azarr/v2.py src/azarr/scratch.py src/azarr/selection.py src/azarr/plan.py src/azarr/layout.py src/azarr/integrations/numcodecs.py src/azarr/integrations/scale_offset.py src/azarr/integrations/snappy.py
NETWORKS = tests/test_faults.py tests/test_clouds.py
comma := ,
empty :=
space := $(empty) $(empty)

.PHONY: demo test check unit beside networks browser coverage interop interop-more faults-more zarr-tests lint types docs package bench bench-browser clean

demo: .venv/.done ## real climate data, written as Zarr, read over HTTP, drawn as demo.png
	.venv/bin/azarr demo

test: .venv/.done .venv-peers/.done ## all tests; the interoperability tests on the newest Python, those of the browser in Chromium and Node
	@echo "Three parts run side by side, as each waits for other processes much of the time, and print what they found as it goes."
	$(MAKE) --jobs=3 --output-sync=line unit beside browser

beside: ## the second of the three parts
	$(MAKE) networks
	$(MAKE) interop

check: lint types docs package test ## all that CI runs

unit: coverage
	.venv/bin/python -m pytest --ignore=tests/unit --ignore=tests/interop --ignore=tests/browser $(addprefix --ignore=,$(NETWORKS))

networks: .venv/.done ## thousands of reads and writes over networks that fail, and by several processes
	.venv/bin/python -m pytest $(NETWORKS)

browser: .venv/.done .venv-peers/.done ## in Pyodide; as root it installs Chromium, where that is missing
	.venv/bin/python tests/browser/distribution.py
	.venv/bin/python -m pytest tests/browser

coverage: .venv/.done ## the tests of the pure layers, which must be covered by them, branch by branch
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest tests/unit -q
	.venv/bin/coverage report --fail-under=100 --include='$(subst $(space),$(comma),$(CORE)),src/azarr/codecs/*.py'

interop: .venv-peers/.done
	.venv-peers/bin/python -m pytest tests/interop

interop-more: .venv-peers/.done ## AZARR_INTEROP_ARRAYS=20000 AZARR_INTEROP_SEED=7 make interop-more
	AZARR_XARRAY_TESTS=all AZARR_INTEROP_ARRAYS=$${AZARR_INTEROP_ARRAYS:-20000} .venv-peers/bin/python -m pytest tests/interop

faults-more: .venv/.done ## AZARR_FAULTED_READS=100000 AZARR_SEED=7 make faults-more
	AZARR_FAULTED_READS=$${AZARR_FAULTED_READS:-100000} .venv/bin/python -m pytest tests/test_faults.py

zarr-tests: .venv-peers/.done ## zarr-python's own tests of arrays, on azarr's codec pipeline; fetches them, and two plugins of pytest
	rm -rf build/zarr
	.venv-peers/bin/python -m pip download --quiet --no-deps --no-binary zarr --dest build/zarr zarr==3.4.2
	.venv-peers/bin/python -m pip install --quiet --no-deps --target build/zarr/plugins pytest-asyncio pytest-benchmark py-cpuinfo
	tar xzf build/zarr/zarr-3.4.2.tar.gz -C build/zarr
	cd build/zarr/zarr-3.4.2 && ZARR_CODEC_PIPELINE__PATH=azarr.integrations.zarr.CodecPipeline \
		PYTHONPATH=$(CURDIR)/src:$(CURDIR)/tests/interop:$(CURDIR)/build/zarr/plugins $(CURDIR)/.venv-peers/bin/python -m pytest -q \
		-o addopts= -p zarr_tests --benchmark-disable $(or $(ZARR_TESTS),tests/test_indexing.py tests/test_array.py tests/test_api.py tests/test_v2.py tests/test_codecs)

lint: .venv/.done
	.venv/bin/ruff check .

types: .venv/.done
	.venv/bin/pyright

docs: .venv/.done ## the site, under site/; a link that leads nowhere fails
	.venv/bin/sphinx-build -n -W --keep-going -E -a -q -b html docs site

package: .venv/.done ## builds sdist and wheel, and runs the wheel in a clean environment
	.venv/bin/python tests/package.py

bench: .venv-peers/.done ## compares with the peers; writes bench/results/
	.venv-peers/bin/python -m bench

bench-browser: .venv/.done ## compares with zarrita.js in one page of Chromium; writes bench/results/browser.md
	.venv/bin/python tests/browser/distribution.py
	.venv/bin/python -m bench.browser

.venv/.done: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv/bin/python -m pip install --quiet -e '.[demo,snappy]' --group dev
	touch $@

.venv-peers/.done: pyproject.toml
	@test -n "$(NEWEST)" || { echo "No Python 3.12 or newer was found: zarr-python, the peer to compare with, needs one."; exit 1; }
	$(NEWEST) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-peers/bin/python -m pip install --quiet -e '.[fast,snappy]' --group peers
	touch $@

clean:
	rm -rf .venv .venv-peers build site demo.png .coverage* .pytest_cache .ruff_cache .hypothesis
