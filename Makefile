# Two commands matter: `make book` and `make test`. Each does all of its own set-up.
.DEFAULT_GOAL := help
.PHONY: help book serve pdf bundle site-check lab test bench test-all test-browsers push-editions \
  try-editions-in-colabs-image links venv browser other-browsers sandbox requirements clean

PYTHON ?= python3
BIN := .venv/bin
# uv takes a quarter of pip's time; `make venv INSTALLER=pip` needs nothing but Python.
INSTALLER ?= uv
UV := $(filter uv,$(INSTALLER))
# Where Python may not write bytecode (containers often say so) each start would compile PyTorch anew, which takes longer
# than to import it: pip compiles what it installs, uv must be told.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
INSTALL := $(BIN)/python -m $(if $(UV),uv pip install --python $(BIN)/python $(COMPILE),pip install) --quiet
# `make venv CPU=1` leaves CUDA's libraries out, for an index with a PyTorch that does without.
CUDA := ^(cuda-|nvidia-|triton==)
# `make venv LOCKED=1` takes nothing but the very files that were tested: every one is checked against its hash.
EXACT := $(if $(LOCKED),.ci/requirements-hashes.txt,requirements.txt)
ifneq ($(and $(CPU),$(LOCKED)),)
$(error CPU and LOCKED exclude each other: the files that were tested hold PyTorch with CUDA; leave one out)
endif

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

book: .venv/.ready ## build the book and say where it is
	@$(BIN)/python tools/build_book.py

serve: book ## build the book and serve it on a free port (PORT=8000 asks for one)
	@$(BIN)/python tools/serve.py $(PORT)

pdf: book browser ## print the whole book into one PDF, dist/residual-networks-measured.pdf
	@$(BIN)/python tools/make_pdf.py

bundle: book ## pack site, notebooks and wheel for a room without internet, dist/residual-networks-measured.zip
	@$(BIN)/python tools/make_bundle.py

site-check: book browser ## open every page as all kinds of readers do: problems, weights, Lighthouse's scores
	@$(BIN)/python tools/site_check.py

lab: .venv/.ready ## open JupyterLab on the chapters
	$(BIN)/jupyter lab --notebook-dir=book/chapters

test: .venv/.ready .venv/colab browser sandbox ## run the tests: units, notebooks, the built book in a browser
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile
	@$(BIN)/python tools/get_sandbox.py --check

test-all: test other-browsers ## run the slow tests, too: a whole class graded, nbgrader, Gradescope, other browsers
	$(BIN)/python -m pytest -m slow

test-browsers: book other-browsers ## try the book in Firefox and WebKitGTK (Debian's packages)
	$(BIN)/python -m pytest -m slow tests/browser/test_other_browsers.py

bench: .venv/.ready ## compare the training loop with the usual ones, side by side
	@$(BIN)/python -m benchmarks.training

push-editions: book ## push the editions for Colab and Binder to their branch (BOOK_URL, PUSH_TOKEN)
	@$(BIN)/python tools/editions.py book/_build/html/editions --push

COLAB_IMAGE := us-docker.pkg.dev/colab-images/public/cpu-runtime
try-editions-in-colabs-image: ## run the editions in the image that Colab publishes; needs Docker
	BOOK_URL=http://127.0.0.1:8421 $(MAKE) book
	docker run --rm --network host --volume "$(CURDIR):/book:ro" --entrypoint python3 $(COLAB_IMAGE) \
	  /book/tools/try_editions.py /book/book/_build/html/editions --site /book/book/_build/html --port 8421

links: book ## look whether the links that lead out of the book still lead somewhere
	$(BIN)/jupyter-book build --builder linkcheck book

venv: ## make the environment anew
	rm -rf .venv
	$(MAKE) .venv/.ready

browser: .venv/.ready
	@$(BIN)/python tools/get_browser.py

other-browsers: .venv/.ready
	@$(BIN)/python tools/get_browser.py --others

sandbox: .venv/.ready
	@$(BIN)/python tools/get_sandbox.py

requirements: .venv/.ready ## compile requirements.txt from pyproject.toml
	$(BIN)/python tools/compile_requirements.py

clean: ## remove what was built
	rm -rf book/_build build dist

# Colab's notebook packages, for the lab's kernel test; they lie apart and come first on that kernel's path.
.venv/colab: tests/colab-requirements.txt .venv/.ready
	@rm -rf $@
	$(INSTALL) --no-deps --target $@ -r tests/colab-requirements.txt
	@touch $@

.venv/.ready: $(EXACT) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version 2>&1) was found; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "this Python cannot make environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv .venv
	@grep -vE '$(if $(CPU),$(CUDA),^$$)' $(EXACT) > .venv/requirements.txt
	@awk '/^[^ ]/ {on = /^uv==/} on' $(EXACT) > .venv/uv.txt
	$(if $(UV),$(BIN)/python -m pip install --quiet -r .venv/uv.txt)
	$(INSTALL) $(if $(LOCKED),--require-hashes) -r .venv/requirements.txt
	$(INSTALL) --no-deps --editable .
	@touch $@
