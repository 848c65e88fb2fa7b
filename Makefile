# SPDX-License-Identifier: GPL-2.0
#
# For people; the kernel's build reads Kbuild. See README.md.
#
# KDIR names the kernel to build for: its source tree, its O= directory, or its
# header packages, if these can build Rust modules. Without it that of the
# running kernel is taken if it can, or else the test bed's Debian kernel.

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
	@echo "This machine's kernel cannot build Rust modules: building for Debian's, in the test bed."
	@$(testbed)/build-module stock

modules_install:
	@test -n "$(INSTALL_MOD_PATH)" || { \
		echo "This machine's kernel cannot build Rust modules, so there is nothing to install into it." >&2; \
		echo "Name a kernel with KDIR=, or a folder with INSTALL_MOD_PATH= for Debian's kernel." >&2; \
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
	@echo "make modules_install       installs it (KDIR=..., INSTALL_MOD_PATH=...)"
	@echo "make clean                 removes what was built"
	@echo "make deb [FLAVOURS=...]    builds Debian packages of the module, and for DKMS, in build/packages"
	@echo "make run                   boots a guest and shows the driver at work"
	@echo "make shell                 boots a guest and gives you a shell in it"
	@echo "make test [TESTS=...]      runs the tests, or those whose names match"
	@echo "make test LONG=1           runs the long ones, too: all the fuzzing, on every kind of device"
	@echo "make test GUESTS='debug*'  runs those of their guests that match this pattern"
	@echo "make evidence [OUT=...]    collects what a submission is asked for, in build/evidence (PIECES=... some)"
	@echo "make bench                 measures what requests cost (QUICK=1: less, LONG=1: all)"
	@echo "make htmldocs              builds the documents with Sphinx, in build/html"
	@echo "make rustdoc               documents the code of the driver and the device, in build/rustdoc"
	@echo "make bench-report          renews the figures in Documentation/performance.rst and README.md"
