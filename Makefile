# Every command that people and CI run, a line each. What they do is written in the scripts and programs that they call.

.PHONY: help install build run up down alert calm test bench soak check fmt lint audit
.DEFAULT_GOAL := help

# Test material that lies beside a checkout on some machines; unset where it does not.
ifneq ($(wildcard ../shared/data),)
export SHARED_DATA ?= $(realpath ../shared/data)
endif

local-parts = $(or $(CARGO_TARGET_DIR),target)/debug/local-parts
loadgen = $(or $(CARGO_TARGET_DIR),target)/release/exchange-loadgen

help: ## lists these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

install: ## installs what this machine is missing, by package name
	@deploy/local/install

build: ## builds every program for this machine
	cargo build --workspace

run: install build ## everything in the foreground with live traffic; Ctrl-C ends it all
	@$(local-parts) run

up: install build ## the same in the background; returns when every part is ready
	@$(local-parts) up

down: ## ends what `make up` started
	@$(local-parts) down

alert: ## provokes a real alert through a rule in what runs, and waits until the chat shows it
	@$(local-parts) alert

calm: ## ends that alert
	@$(local-parts) alert --end

test: install build ## every test, beside a real PostgreSQL and a real S3 server
	@$(local-parts) with-parts -- deploy/local/test

bench: install ## measures, prints a table and writes target/bench.json
	cargo build --release -p exchange -p exchange-loadgen
	@$(loadgen) bench
	@cargo bench -q -p backup -p alertbot -p logship --bench tools --bench alertbot --bench relay --bench plan

soak: install ## kills servers at random under load; SEED=… repeats a run
	cargo build --release -p exchange -p exchange-loadgen
	@$(loadgen) soak
	cargo test -p alertbot --test it -- --ignored --nocapture
	cargo build -p local-parts
	@$(local-parts) with-parts -- cargo test -p backup --test it -- --ignored --nocapture
	PROPTEST_CASES=5000 cargo test -p alertbot --lib -- message::tests webhook::fuzz

check: install lint ## everything that needs no running part: format, lints, rules, the pipeline's own shape
	@deploy/local/check

fmt: ## formats the code
	cargo fmt --all

lint: ## is the code formatted, and do the lints agree?
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

audit: ## licences, sources and known faults of dependencies (needs cargo-deny)
	cargo deny check
