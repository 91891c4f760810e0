# qbranch: `make` alone lists the targets.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BIN     := bin/qbranch
TARGETS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

export CGO_ENABLED := 0

.PHONY: help build demo test long check lint asm generated instructions race arm bench screens cross clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/qbranch, one static binary
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/qbranch

demo: build ## watch the whole job on the embedded repository
	@$(BIN) demo

test: ## run every test
	$(GO) test ./...

long: export QBRANCH_LONG := 1
long: ## run every test at length: an hour and more
	$(GO) test -timeout 3h ./...

check: lint generated instructions race ## format, vet, staticcheck, generated files, race tests

lint:
	@unformatted=$$(gofmt -l cmd hub store quant infer); \
	if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) -C .ci/tools build -o $(CURDIR)/bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

# Regenerates what is generated and compares it with what was there. The demo's
# archive is written anew from its own contents; the generators of assembly need
# a module proxy, or what they import in the module cache.
GENERATED := cmd/qbranch/internal/demo/repository.tar.zst $(wildcard infer/kernel/*_*64.s infer/kernel/avx*_amd64.go infer/kernel/neon_arm64.go)
generated:
	@before=$$(cksum $(GENERATED)); $(GO) generate ./...; \
	if [ "$$before" != "$$(cksum $(GENERATED))" ]; then echo "files differ from what go generate writes, commit the new ones:"; git status --short $(GENERATED); exit 1; fi

asm: ## write the assembly of the kernels anew
	$(GO) generate ./infer/kernel

# The kernels of slower machines. The choice is read before tests begin, so that
# the test cache does not know of it.
instructions:
	$(GO) test -count=1 -short -tags purego ./infer/kernel
	for cpu in go avx2; do \
		export QBRANCH_CPU=$$cpu; \
		$(GO) test -count=1 -short ./infer/kernel ./infer/model && $(GO) test -count=1 -short -run 'TestCheckpoints$$' ./infer || exit 1; \
	done

race: export CGO_ENABLED := 1
race:
	$(GO) test -race -short -timeout 18m ./...

# An emulator older than version 8 reports a memory fault without its address.
arm: export GOARCH := arm64
arm: QEMU := $(firstword $(shell command -v qemu-aarch64-static qemu-aarch64))
arm: ## test the kernels for arm64 in an emulator (needs qemu-user)
	@if [ -z "$(QEMU)" ]; then echo "qemu-aarch64 is not installed (Debian: apt-get install qemu-user-static)"; exit 1; fi
	$(GO) vet ./infer/kernel
	$(GO) test -trimpath -exec '$(QEMU) -cpu max' -skip TestFaultIsAnError ./infer/kernel
	$(GO) test -trimpath -exec '$(QEMU) -cpu cortex-a53' -run '(Vector|Float|Attention)Twins|BitsOn' ./infer/kernel

bench: ## run the benchmarks; with QBRANCH_LLAMA_PYTHON=python also beside llama.cpp
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./cmd/peerbench runner

screens: ## draw the pictures of docs/screens anew (needs tmux)
	$(GO) test ./cmd/qbranch -run TestBrowser -count 1 -args -pictures $(CURDIR)/docs/screens

cross: ## compile for every supported platform
	@for t in $(TARGETS); do \
		echo "GOOS=$${t%/*} GOARCH=$${t#*/}"; \
		GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -trimpath -o /dev/null ./cmd/qbranch || exit 1; \
	done

clean: ## remove bin/
	rm -rf bin
