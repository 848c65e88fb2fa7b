# SPDX-License-Identifier: GPL-2.0
#
# Targets for developers, see README.md. The kernel's build system does not read
# this file. It reads Kbuild.
#
# KDIR is the build directory of a kernel that can build Rust modules: a source
# tree, an O= directory, or the directory of a headers package. The default is
# the build directory of the running kernel. If that kernel cannot build Rust
# modules, the module is built for Debian's kernel, in the test bed.

testbed := tools/testbed
running := /lib/modules/$(shell uname -r)/build

ifndef KDIR
ifneq ($(wildcard $(running)/rust/libkernel.rmeta),)
KDIR := $(running)
endif
endif

.PHONY: all modules modules_install clean deb run shell test evidence bench bench-report htmldocs rustdoc help

all: modules

ifdef KDIR
modules modules_install:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean
else
modules:
	@echo "The running kernel cannot build Rust modules: building for Debian's kernel, in the test bed."
	@$(testbed)/build-module stock

modules_install:
	@test -n "$(INSTALL_MOD_PATH)" || { \
		echo "The running kernel cannot build Rust modules, so no module can be installed for it." >&2; \
		echo "Set KDIR to another kernel, or INSTALL_MOD_PATH to a folder for the modules of Debian's kernel." >&2; \
		exit 2; }
	@$(testbed)/install-module stock "$(abspath $(INSTALL_MOD_PATH))"

clean:
	@$(testbed)/clean-modules
endif

deb:
	@tools/packaging/make-packages $(FLAVOURS)

run:
	@$(testbed)/vm run -- tools/tests/guest/demo

shell:
	@$(testbed)/vm shell

test: export LONG := $(LONG)
test: export GUESTS := $(GUESTS)
test:
	@tools/tests/run $(TESTS)

ifdef OUT
evidence: export OUT := $(OUT)
endif
evidence: export TESTS := $(TESTS)
evidence:
	@tools/tests/evidence $(PIECES)

bench: export QUICK := $(QUICK)
bench: export LONG := $(LONG)
bench:
	@tools/bench/run

bench-report:
	@tools/bench/make-report --documents Documentation/performance.rst README.md

htmldocs:
	@tools/docs/htmldocs

rustdoc:
	@tools/docs/rustdoc

help:
	@echo "make [KDIR=...]            builds virtio_crypto_rs.ko"
	@echo "make modules_install       installs virtio_crypto_rs.ko (KDIR=..., INSTALL_MOD_PATH=...)"
	@echo "make clean                 removes the results of the build"
	@echo "make deb [FLAVOURS=...]    builds Debian packages in build/packages: modules, the source for DKMS, the daemon"
	@echo "make run                   boots a guest, loads the driver and runs a demonstration"
	@echo "make shell                 boots a guest and opens a shell in the guest"
	@echo "make test [TESTS=...]      runs all test cases, or only the cases whose names match TESTS"
	@echo "make test LONG=1           also runs the long tests, for example all fuzzers on every kind of device"
	@echo "make test GUESTS='debug*'  only boots the guests whose names match the pattern"
	@echo "make evidence [OUT=...]    collects test reports for a submission in build/evidence (PIECES=...: only these)"
	@echo "make bench                 measures the costs of requests (QUICK=1: fewer settings, LONG=1: all settings)"
	@echo "make htmldocs              builds the documentation with Sphinx, in build/html"
	@echo "make rustdoc               builds the code documentation of the driver and the device, in build/rustdoc"
	@echo "make bench-report          updates the figures in Documentation/performance.rst and README.md"
