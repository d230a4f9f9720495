# Everything that a developer and CI do with this repository. `make` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

WORKSPACE := pkg services/policy services/tunnel services/runner e2e
OUTSIDE   := e2e/chart/suites e2e/cluster/controlplane e2e/node/dns e2e/node/policies tools
SERVICES  := tunnel policy runner

# Settings, for example `make e2e E2E=TestCancel` or `make fuzz FUZZTIME=1m`.
E2E      ?= .
FUZZ     ?= .
FUZZTIME ?= 10s
KEEP     ?=
NODE     ?= .
P        ?= 2
TIMEOUT  ?= 40m
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)

PACKAGES := $(WORKSPACE:%=./%/...)
TEST     := go test -race -tags integration -p $(P) -timeout $(TIMEOUT)
TOOL     := GOWORK=off go run -C tools
LINTER   := bin/tools/golangci-lint
CLUSTER  := go run ./e2e/cluster/cmd/withcluster

export TOWLINE_E2E_BINARIES

# A process with the race detector sleeps for a second before it ends, so that
# others may still report. There are hundreds of them.
export GORACE ?= atexit_sleep_ms=50

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##### Checks

.PHONY: check
check: fmt-check stale vet lint ## formatting, vet, linters, sizes, and that nothing generated is stale

.PHONY: fmt
fmt: $(LINTER) ## format all Go code
	$(LINTER) fmt ./...

.PHONY: fmt-check
fmt-check: $(LINTER)
	@echo "== formatting"
	@$(LINTER) fmt --diff ./... || { echo "run: make fmt"; exit 1; }

.PHONY: vet
vet:
	@echo "== go vet"
	@go vet -tags integration,node $(PACKAGES)
	@for m in $(OUTSIDE); do echo "== go vet in $$m"; GOWORK=off go vet -C $$m -tags integration ./...; done

.PHONY: lint
lint: $(LINTER)
	@echo "== linters: workspace"
	@$(LINTER) run --allow-parallel-runners $(PACKAGES)
	@echo "== linters: tools"
	@cd tools && GOWORK=off ../$(LINTER) run --allow-parallel-runners --config ../.golangci.yml ./...
	@echo "== file lengths"
	@$(TOOL) ./cmd/filelength

.PHONY: stale
stale:
	@echo "== versions in go.mod and go.work"
	@$(TOOL) ./cmd/versions
	@for m in $(WORKSPACE) $(OUTSIDE); do echo "== go mod tidy -diff in $$m"; \
	  (cd $$m && GOWORK=off go mod tidy -diff) || { echo "run: make tidy"; exit 1; }; done
	@echo "== linked modules"
	@$(TOOL) ./cmd/deps
	@echo "== schema and tables of the chart's values"
	@$(TOOL) ./cmd/values
	@echo "== reference of settings and metrics"
	@$(TOOL) ./cmd/reference

$(LINTER): tools/go.mod tools/go.sum
	@echo "building $@; it takes a minute or two, once"
	@cd tools && GOWORK=off go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

##### Tests

.PHONY: test
test: TOWLINE_E2E_BINARIES = $(CURDIR)/bin/race
test: programs toolbox binaries ## all tests, against one real control plane
	@rc=0; $(CLUSTER) --kubectl -- $(MAKE) test-all || rc=1; \
	echo; echo "== the chart on a real node"; \
	TOWLINE_E2E_NODE_OPTIONAL=1 $(MAKE) e2e-node || rc=1; \
	echo; if [ $$rc = 0 ]; then echo "all tests passed"; else echo "some tests failed: see FAIL above"; fi; exit $$rc

# The control plane itself has no unit tests (the e2e tests use it), and with the
# race detector it would take as long to build as everything else together. The
# tests of the chart render it and start none of our services: the race detector
# would find nothing and make them take several times as long. Almost all that
# they need has been built without it for the toolbox. From end to end, those that
# take longest begin.
.PHONY: test-all
test-all:
	@rc=0; \
	run() { echo; echo "== $$1"; shift; "$$@" || rc=1; }; \
	run "pkg and services" $(TEST) $(filter-out ./e2e/...,$(PACKAGES)); \
	run "tools" env GOWORK=off go -C tools test -race -p $(P) -timeout $(TIMEOUT) ./...; \
	run "control plane" env GOWORK=off go -C e2e/cluster/controlplane test -race -p $(P) -timeout $(TIMEOUT) ./internal/...; \
	run "suites of the chart" env GOWORK=off go -C e2e/chart/suites test -count=1 ./...; \
	run "chart" go test -tags integration -timeout $(TIMEOUT) ./e2e/chart; \
	run "e2e" $(TEST) ./e2e/gitops ./e2e/scenarios $$(go list -tags integration ./e2e/... | grep -Ev '/e2e/(chart|gitops|scenarios)$$'); \
	exit $$rc

.PHONY: e2e
e2e: TOWLINE_E2E_BINARIES = $(CURDIR)/bin/race
e2e: programs toolbox binaries ## the end-to-end tests only; E2E=pattern chooses
	@$(CLUSTER) --kubectl -- go test -race -tags integration -p $(P) -timeout $(TIMEOUT) -v -run '$(E2E)' ./e2e/scenarios/... ./e2e/pipelines/... ./e2e/conformance/... ./e2e/escape/...

# The first time builds kubelet, kube-proxy and CoreDNS, which may take long.
.PHONY: e2e-node
e2e-node: images ## the chart on a real node of this machine; NODE=pattern chooses
	@TOWLINE_E2E_IMAGES=$(CURDIR)/bin/images go test -tags node -count=1 -timeout 40m -v -run '$(NODE)' ./e2e/node

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME; FUZZ=pattern chooses
	@$(TOOL) ./cmd/fuzz -time $(FUZZTIME) -run '$(FUZZ)'

.PHONY: verify
verify: check test ## check, then test

# What the tests need besides Go: programs of this machine, and a control plane
# and kubectl, which are built here once and cached.
.PHONY: programs
programs:
	@for p in redis-server git jq curl busybox column; do command -v $$p >/dev/null || { \
	  echo "the tests need redis-server, git, and programs to compare with; on Debian or Ubuntu:"; \
	  echo "  apt-get install redis-server git jq curl busybox-static bsdextrautils"; exit 1; }; done
	@$(CLUSTER) --build-only --kubectl

.PHONY: binaries
binaries:
	@mkdir -p bin/race
	@for s in $(SERVICES); do echo "building services/$$s with the race detector"; go build -race -o bin/race/$$s ./services/$$s; done

##### Running

.PHONY: demo
demo: ## a GitLab job deploys into a cluster on this machine; KEEP=1 leaves it running
	@go run ./e2e/demo --project e2e/demo/project $(if $(KEEP),--keep)

.PHONY: bench
bench: toolbox ## side-by-side benchmarks
	@go run ./e2e/bench

##### Making

.PHONY: generate
generate: ## write the generated files: services/*/deps.txt, the chart's schema, and docs/reference
	@$(TOOL) ./cmd/deps -write
	@$(TOOL) ./cmd/values -write
	@$(TOOL) ./cmd/reference -write

.PHONY: tidy
tidy: ## set the versions of tools/versions.txt and tidy every module
	@$(TOOL) ./cmd/versions -write
	@go work sync
	@for m in $(WORKSPACE) $(OUTSIDE); do echo "== go mod tidy in $$m"; (cd $$m && GOWORK=off go mod tidy); done
	@$(TOOL) ./cmd/versions

# The runner's image has a static busybox for each of its platforms. This
# machine's own is found; for more, name unpacked ones of Debian's busybox-static:
# make images PLATFORMS=linux/amd64,linux/arm64 BUSYBOXES=linux/amd64=FILE,linux/arm64=FILE
BUSYBOX   ?= $(shell command -v busybox)
PLATFORMS ?= linux/$(shell go env GOARCH)
BUSYBOXES ?= linux/$(shell go env GOARCH)=$(BUSYBOX)

# They are pushed as well with PUSH=registry.example.com/path and the credentials
# of docker login; each platform's bill of materials goes with its image.
PUSH ?=

.PHONY: images
images: ## the services' images as OCI archives in bin/images, with bills of materials; PUSH=registry/path pushes them
	@$(TOOL) ./cmd/images -version '$(VERSION)' -platforms '$(PLATFORMS)' -busybox '$(BUSYBOXES)' -push '$(PUSH)'

# The chart goes to an OCI registry with PUSH= as well. It is signed with
# SIGN_KEY=name KEYRING=file, and PASSPHRASE_FILE=file where the key has one.
SIGN_KEY        ?=
KEYRING         ?=
PASSPHRASE_FILE ?=

.PHONY: chart
chart: ## the chart as a package in bin/chart; PUSH=registry/path pushes it, SIGN_KEY=name KEYRING=file signs it
	@$(TOOL) ./cmd/chart -push '$(PUSH)' -key '$(SIGN_KEY)' -keyring '$(KEYRING)' -passphrase-file '$(PASSPHRASE_FILE)'

# The programs that a job's script may start, for a runner on this machine:
# `runner --toolbox=bin/toolbox` (with the whole path).
TOOLBOX ?= $(CURDIR)/bin/toolbox

.PHONY: toolbox
toolbox: ## the toolbox folder for a runner on this machine, in bin/toolbox
	@test -n "$(BUSYBOX)" || { \
	  echo "the toolbox folder is made from a statically linked busybox; on Debian or Ubuntu:"; echo "  apt-get install busybox-static"; exit 1; }
	@mkdir -p bin
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/towline-call ./services/runner/cmd/call
	@go run ./services/runner toolbox make -busybox '$(BUSYBOX)' -call bin/towline-call '$(TOOLBOX)'
	@echo "made $(TOOLBOX); what is in it: go run ./services/runner toolbox --toolbox $(TOOLBOX)"

.PHONY: clean
clean: ## remove what make has built
	rm -rf bin
