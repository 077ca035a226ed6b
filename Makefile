# A folder in services/ with C files is a program, a *_test.c is a test; there is no list to keep.
include versions.mk

BUILD  ?= build
CC     := gcc
Q      := $(if $(V),,@)
SHELL  := /bin/bash
.SHELLFLAGS := -o pipefail -c
# Not before they are installed: recipes run make again after deploy/install.
PKGS   := libzmq msgpack libpq libmaxminddb libpcre2-8 jansson yajl yaml-0.1 libsodium libcurl libzstd libpsl zlib
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lcivetweb -lm

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wformat=2 -Wundef -Wvla -Wno-missing-field-initializers
HARDEN   := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS   ?= -O2 -g
ifdef SANITIZE
BUILD    := build/sanitize
CFLAGS   := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
HARDEN   := -fPIE
endif
# The number of the newest migration, for lib/schema.c.
newest_of = $(shell ls deploy/schema/$(1) | sed -n 's/^0*\([0-9]*\)_.*\.sql$$/\1/p' | sort -n | tail -1)
VERSIONS := -DFOOTFALL_VERSION=$(FOOTFALL_VERSION) -DFOOTFALL_SCHEMA_APP=$(call newest_of,app) \
	-DFOOTFALL_SCHEMA_METRICS=$(call newest_of,metrics)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS) $(HARDEN) -I. -pthread -MMD -MP $(PKG_CFLAGS) \
	$(VERSIONS)
ALL_LDFLAGS = $(CFLAGS) -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

sources  := $(wildcard lib/*.c lib/*/*.c proto/*.c services/*/*.c tests/*/*.c)
fuzzed   := $(filter-out %_test.c %/main.c,$(wildcard lib/*.c lib/*/*.c proto/*.c \
	services/ingress/*.c))
programs := $(sort $(patsubst services/%/,%,$(dir $(wildcard services/*/main.c))))
binary_of = $(BUILD)/bin/$(if $(filter cli,$(1)),footfall,$(1))
shared   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %_test.c,$(wildcard lib/*.c lib/*/*.c proto/*.c)))
objects_of = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %_test.c,$(wildcard services/$(1)/*.c)))
# Not below $(BUILD): it is the same for every build.
tracker  := build/tracker/footfall.js
unit_tests := $(patsubst %.c,$(BUILD)/%,$(filter %_test.c,$(sources)))

.PHONY: all help run up down reset test test-long test-compose images chaos unit lint format web install \
	clean bench bench-ingest bench-drain bench-backlog bench-apply bench-stall bench-enrich bench-containers
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z][a-z_.-]*:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile

run: install ## install what is missing, build, start everything, stay in front (Ctrl-C ends it)
	@$(MAKE) --no-print-directory -s -j$$(nproc) all && exec deploy/local/stack run

up: install ## the same in the background; returns when all is ready
	@$(MAKE) --no-print-directory -s -j$$(nproc) all && deploy/local/stack up

down: ## end what `make up` started
	@deploy/local/stack down

reset: ## delete all data of the stack (asks first)
	@deploy/local/stack reset

install:
	@deploy/install run

all: $(foreach p,$(programs),$(call binary_of,$(p))) web $(tracker) ## build every program and the dashboard's files

test: ## install what is missing and prove the product
	@deploy/install test
	@tests/run

test-long: ## prove what takes longer
	@deploy/install test
	@tests/run long

images: ## build the images for compose/, as footfall/NAME:VERSION, and print their sizes
	@deploy/install images
	@deploy/images/build

test-compose: ## build the images and prove that they work together, with a Docker engine of its own if there is none
	@deploy/install compose
	@tests/compose/run

chaos: ## kill everything at random and count what is left (ROUNDS=3 SEED=random)
	@deploy/install test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all && ROUNDS=$(ROUNDS) SEED=$(SEED) exec node tests/chaos/chaos.js

fuzz: ## feed the decoders, the journal's recovery, user agents, URLs and sources with rubbish (SECONDS=60 each)
	@deploy/install test
	@tests/fuzz/run $(SECONDS)

# With clang, whose libFuzzer it is; everything is instrumented, so it has objects of its own.
FUZZ_CC     := clang-$(CLANG_MAJOR)
FUZZ_CFLAGS  = -std=gnu11 -D_GNU_SOURCE -O1 -g $(WARNINGS) -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined -I. -pthread -MMD -MP $(PKG_CFLAGS) $(VERSIONS)
fuzz_targets := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))
.PHONY: fuzz fuzz-targets
fuzz-targets: $(fuzz_targets)
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  fuzz  $<")
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<
# An archive, of which a target takes what it needs; q: files of one name in two folders are two.
build/fuzz/fuzzed.a: $(patsubst %.c,build/fuzz/obj/%.o,$(fuzzed))
	@rm -f $@ && $(AR) qcs $@ $^
$(fuzz_targets): build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/fuzzed.a
	$(if $(V),,@echo "  link  $@")
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(PKG_LIBS)
-include $(patsubst %.c,build/fuzz/obj/%.d,$(fuzzed) $(wildcard tests/fuzz/*.c))

bench: ## print speeds next to a neighbour's, and the memory of each service
	@deploy/install test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all && tests/bench/run

bench-ingest: ## print events/s and latencies of collection next to nginx and a bare civetweb
bench-drain: ## print how fast a worker drains a backlog, next to COPY of the same rows
bench-backlog: ## print what a backlog costs the ingress: its memory, and collection meanwhile
bench-apply: ## print what counting costs, for few and many visitors, sites, pages and events (BENCH_ONLY chooses)
bench-ingest bench-drain bench-backlog bench-apply:
	@deploy/install test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all $(BUILD)/bench/bare && tests/bench/$(@:bench-%=%)
bench-stall: ## print what one worker of three that stalls for a minute costs the others
	@deploy/install test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all && exec node tests/bench/stall.js

bench-containers: ## print what each container takes, idle and loaded, and how long requests take (BENCH_SECONDS=600)
	@deploy/install compose
	@export FOOTFALL_TAG=$(FOOTFALL_VERSION)-test; deploy/images/build && exec node tests/bench/containers.js

bench-enrich: ## print how fast agents and whole events are enriched, and what hostile ones cost
	@deploy/install test
	@$(MAKE) --no-print-directory -s -j$$(nproc) $(BUILD)/bench/enrich && $(BUILD)/bench/enrich

unit: $(unit_tests) ## build and run the unit tests (SANITIZE=1: under ASan and UBSan)
	@tests/unit $(unit_tests)

lint: ## formatting and static checks on our own code
	@tests/lint $(sources)

format: ## format the C code
	clang-format -i $(sources) $(wildcard lib/*.h lib/*/*.h proto/*.h services/*/*.h)

# What visited pages load, in pieces; says its sizes.
$(tracker): services/tracker/build.js services/tracker/core.js $(wildcard services/tracker/parts/*.js) \
		package-lock.json
	@node services/tracker/build.js $@

# The dashboard's files as the door serves them: ours, and the npm modules they import.
web_ours := $(wildcard services/console/web/*)
web: $(patsubst services/console/web/%,$(BUILD)/web/%,$(web_ours)) \
	$(addprefix $(BUILD)/web/vendor/,htm-preact.js uplot.js uplot.css)

$(BUILD)/web/vendor/htm-preact.js: node_modules/htm/preact/standalone.module.js
$(BUILD)/web/vendor/uplot.js: node_modules/uplot/dist/uPlot.esm.js
$(BUILD)/web/vendor/uplot.css: node_modules/uplot/dist/uPlot.min.css
$(BUILD)/web/vendor/%:
	@mkdir -p $(@D) && cp $< $@
$(BUILD)/web/%: services/console/web/%
	@mkdir -p $(@D) && cp $< $@

$(BUILD)/lib/schema.o build/fuzz/obj/lib/schema.o: $(wildcard deploy/schema/*/*.sql)
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  cc    $<")
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libfootfall.a: $(shared)
	@rm -f $@ && $(AR) rcs $@ $^

define program
$(call binary_of,$(1)): $(call objects_of,$(1)) $(BUILD)/libfootfall.a
	@mkdir -p $$(@D)
	$(if $(V),,@echo "  link  $$@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $$@ $$^ $(PKG_LIBS)
endef
$(foreach p,$(programs),$(eval $(call program,$(p))))

# A test of a service is linked with that service's modules, all but its main().
modules_of = $(if $(filter services/%,$(1)),$(filter-out %/main.o,$(call objects_of,$(word 2,$(subst /, ,$(1))))))
.SECONDEXPANSION:
.SECONDARY:
$(BUILD)/%_test: $(BUILD)/%_test.o $$(call modules_of,$$*) $(BUILD)/libfootfall.a
	$(if $(V),,@echo "  link  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(if $(V),,@echo "  link  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcivetweb

# It stands in for the worker's app.c.
$(BUILD)/bench/enrich: $(BUILD)/tests/bench/enrich.o $(BUILD)/services/worker/enrich.o $(BUILD)/libfootfall.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  link  $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

compile_commands.json: Makefile versions.mk ## for editors and clang-tidy
	@{ sep='['; for c in $(sources); do printf '%s\n{"directory":"%s","file":"%s","command":"%s"}' \
	  "$$sep" "$(CURDIR)" "$$c" "$(CC) $(ALL_CFLAGS) -c $$c"; sep=,; done; echo; echo ']'; } > $@

clean: ## remove what was built
	rm -rf build compile_commands.json

-include $(patsubst %.c,$(BUILD)/%.d,$(sources))
