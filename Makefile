# Every command that people and CI run, a line each. The scripts and programs that they call hold the logic.

.PHONY: help install build run up down alert calm boards test bench mutate soak fuzz check fmt lint doc audit manifests cluster images scan sbom sign deploy assemble placeholders deployment
.DEFAULT_GOAL := help

# Test material next to the checkout; unset on machines without it.
ifneq ($(wildcard ../shared/data),)
export SHARED_DATA ?= $(realpath ../shared/data)
endif

CARGO_DENY_VERSION = 0.20.2

local-parts = $(or $(CARGO_TARGET_DIR),target)/debug/local-parts
loadgen = $(or $(CARGO_TARGET_DIR),target)/release/exchange-loadgen

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

install: ## install missing packages, by name
	@deploy/local/install

build: ## build every program for this machine
	cargo build --workspace

run: install build ## run everything in the foreground with live traffic; Ctrl-C ends it
	@$(local-parts) run

up: install build ## run everything in the background; return when every part is ready
	@$(local-parts) up

down: ## stop the parts that `make up` started
	@$(local-parts) down

alert: ## trigger a real alert by a rule and wait until the chat shows it
	@$(local-parts) alert

calm: ## end that alert
	@$(local-parts) alert --end

boards: ## import every board into GRAFANA_URL and read it back; credentials in GRAFANA_TOKEN
	@dashboards/import

test: install build ## run every test with a real PostgreSQL and a real S3 server
	@deploy/local/test

bench: install ## measure, print a table and write target/bench.json
	cargo build --release -p exchange -p exchange-loadgen
	@$(loadgen) bench
	@cargo bench -q -p backup -p alertbot -p logship --bench tools --bench alertbot --bench relay --bench plan

mutate: install ## change every rule in small ways and print which changes no unit test notices
	@cargo test -p dashboards --test it mutation:: -- --include-ignored --nocapture

soak: install ## kill servers at random under load; SEED=… repeats a run
	cargo build --release -p exchange -p exchange-loadgen
	@$(loadgen) soak
	deploy/local/test-matching -p alertbot --test it -- --ignored --nocapture
	deploy/local/test-matching -p logship --test it -- --ignored --nocapture
	cargo build -p local-parts -p exchange -p backup -p manifests
	@deploy/cluster/node/test
	@$(local-parts) with-parts -- deploy/local/test-matching -p backup --test it -- --ignored --nocapture
	deploy/local/test-matching -p dashboards --test it -- live:: --ignored --nocapture
	deploy/local/with-newer-prometheus deploy/local/test-matching -p dashboards --test it -- promtool:: replay:: inhibition:: live::the_running
	PROPTEST_CASES=5000 deploy/local/test-matching -p alertbot-core --lib -- message::tests

fuzz: install ## read arbitrary input from outside for longer than `make test`; CASES=… sets the cases of each target
	PROPTEST_CASES=$(or $(CASES),20000) deploy/local/test-matching -p alertbot-core -p logship -p backup -p exchange --lib -- fuzz::

check: install lint doc manifests ## check format, lints, docs, floors, spelling, rules, manifests and the pipeline, without a running part
	@deploy/local/check

fmt: ## format the code
	cargo fmt --all

doc: ## build the documentation of every crate; a warning is an error
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet

lint: ## check format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

audit: ## check licences, sources and advisories of dependencies; installs cargo-deny if it is missing
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny@$(CARGO_DENY_VERSION)
	cargo deny check

manifests: install build ## render every manifest and check it: rules of ours, schemas, linters; no server
	@cargo run --quiet --package manifests -- check --programs $(or $(CARGO_TARGET_DIR),target)/debug

cluster: install ## start a real Kubernetes API server and let it judge every manifest, then bad ones
	@deploy/cluster/test
	@deploy/cluster/sync/test

deployment: install build ## test the pipeline, images, fail-over, object store and upgrade with real parts
	@deploy/ci/test
	@deploy/infrastructure/postgresql/test
	@deploy/infrastructure/object-store/test
	@deploy/infrastructure/object-store/nodes-test
	@deploy/infrastructure/ingress/test
	@deploy/docker/test
	@deploy/ci/test-images
	@deploy/upgrade/test

images: install ## build every image with buildah; REGISTRY=… pushes them and writes target/image/digests
	@deploy/docker/build $(if $(REGISTRY),--push $(REGISTRY)) --digests target/image/digests

scan: ## scan the images of target/image/digests with IMAGE_SCANNER
	@deploy/ci/each-image scan target/image/digests

sign: ## sign the images of target/image/digests with COSIGN_KEY
	@deploy/ci/each-image sign target/image/digests

sbom: ## write a bill of materials for each program
	@deploy/ci/sbom target/image/digests

assemble: ## write the tree of the manifests repository into a new folder; FOLDER=…
	@cargo run --quiet --package manifests -- assemble $(FOLDER)

placeholders: ## list what a tree of the manifests repository lacks before Argo CD applies it; FOLDER=…
	@cargo run --quiet --package manifests -- placeholders $(FOLDER)

deploy: ## write the images of this commit into the manifests repository; ENVIRONMENT=staging or production
	@deploy/ci/deploy-digests $(ENVIRONMENT) $$(git rev-parse HEAD) target/image/digests $(FLAGS)
