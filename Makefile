# SPDX-License-Identifier: MIT
#
# Makefile - how is everything built, run and tested?
#
# `make run` and `make test` do all the set-up by themselves. Sources are found by their place and
# ending: there is no list to maintain. BUILD=dir builds beside, not over, another build.

CROSS    ?= x86_64-linux-gnu-
BUILD    ?= build
CPUS     ?= 4
MEM      ?= 256M
DISK     ?=
ARGS     ?=
ACCEL    ?= tcg
FIRMWARE ?= bios
T        ?=
ARGS_LAB ?=
JOBS     ?= $(shell nproc)
SWEEP    ?=
SSHLOGIN ?=
RESUME   ?=

NEWLIB := build/newlib
ELF    := $(BUILD)/dirtybit.elf
ISO    := $(BUILD)/dirtybit.iso
export CROSS BUILD NEWLIB ACCEL

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help run test kernel iso image host-test lint bench bench-linux mutants models gdb format
.PHONY: clean distclean lab lab-compare sweep
.PHONY: stand-in FORCE

# All processors, unless the command line says otherwise or cleans first.
ifeq ($(filter clean distclean,$(MAKECMDGOALS)),)
MAKEFLAGS += -j$(shell nproc)
endif

define HELP
make run        boot the ISO on CPUS processors: demonstration, then a shell (quit: Ctrl-A x)
make test       all tests; T=name or T=pattern picks some
make bench      the instructions that each figure takes, against bench/limits.json;
                FS=ramblk: file system in memory, the same to the last digit each time
make bench-linux   the same programs here and on Debian's Linux in the same QEMU: LINUX=package
make lab        what each policy costs and breaks: build/lab/lab.html; ARGS_LAB="--policy a,b ..."
make lab-compare A=a.json B=b.json   what changed between two results
make sweep      many boots along several axes: SWEEP="policy=a,b cpus=1,2" JOBS= SSHLOGIN= RESUME=
make mutants    break the kernel in each known way: does a test notice? T=name picks some
make models     the Promela models of tests/models, with spin
make lint       layers, style, format
make host-test  the pure C parts on this machine, with sanitizers
make gdb        QEMU stopped at the first instruction, with gdb on it
make kernel     $(ELF)
make iso        $(ISO), for BIOS and UEFI
make image      build/disk.img, an ext2 disk with these documents on it; made once and kept
make format     rewrite the C sources in the style of .clang-format
make clean      forget the build; make distclean: also newlib and the disk image

Variables: CPUS=4 MEM=256M DISK=build/disk.img ARGS="key=value ..." ACCEL=tcg|kvm
           FIRMWARE=bios|uefi T= CROSS=x86_64-linux-gnu-|x86_64-elf- BUILD=build
endef

help:
	$(info $(HELP))
	@:

# ---- set-up: packages, C library -----------------------------------------------------------

build/setup.stamp: tools/packages.txt tools/setup
	@tools/setup
	@mkdir -p $(@D) && touch $@

$(NEWLIB)/stamp: build/setup.stamp tools/newlib
	@tools/newlib

# ---- kernel --------------------------------------------------------------------------------

find = $(sort $(shell find $(wildcard $(1)) -type f -name '$(2)'))

SOURCE_DIRS := $(wildcard boot arch kernel drivers libc apps tests bench)
HOST_ONLY := tests/host/% tests/lint/% tests/models/% tests/mutants/% bench/linux/%
CSRC   := $(filter-out $(HOST_ONLY),$(call find,$(SOURCE_DIRS),*.c))
ASMSRC := $(call find,boot arch,*.asm)
OBJS   := $(CSRC:%.c=$(BUILD)/obj/%.o) $(ASMSRC:%.asm=$(BUILD)/obj/%.asm.o)

CC = $(CROSS)gcc
# Asked once, and only after the set-up has installed the compiler.
GCC_INCLUDE = $(eval GCC_INCLUDE := $(shell $(CC) -print-file-name=include))$(GCC_INCLUDE)

KCFLAGS = -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone -mcmodel=kernel \
	-fno-stack-protector -fcf-protection=none -U_FORTIFY_SOURCE -fno-strict-aliasing \
	-fno-asynchronous-unwind-tables -fno-omit-frame-pointer -fno-tree-vectorize \
	-ffile-prefix-map=$(CURDIR)=. -D__DYNAMIC_REENT__ \
	-Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter -Werror \
	-I . -nostdinc -isystem $(GCC_INCLUDE) -isystem $(NEWLIB)/x86_64-elf/include

# The kernel proper never touches a vector register; programs and the C library may.
# $(call compile,FILE,SRC,OUT): compile SRC with the flags that its place gives to FILE.
in = $(filter $(addsuffix /%,$(1)),$(2))
compile = $(CC) $(KCFLAGS) \
	$(if $(call in,boot arch kernel drivers tests,$(1)),-mgeneral-regs-only) \
	$(if $(call in,libc apps bench tests,$(1)),-I libc/include) -c -o $(3) $(2)
assemble = nasm -f elf64 -I . -Werror -o $(2) $(1)

# Rewritten, and everything with it, only when a flag or a tool changes.
$(BUILD)/flags: FORCE build/setup.stamp
	@mkdir -p $(@D)
	@echo '$(CC) $(KCFLAGS)' | cmp -s - $@ || echo '$(CC) $(KCFLAGS)' >$@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags $(NEWLIB)/stamp
	@mkdir -p $(@D)
	@echo '  CC   $<'
	@$(call compile,$<,$<,$@) -MMD -MP

$(BUILD)/obj/%.asm.o: %.asm $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  ASM  $<'
	@$(call assemble,$<,$@) -MD $(@:.o=.d) -MT $@

# Written anew when a source file appears or goes.
$(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(OBJS)' | cmp -s - $@ || echo '$(OBJS)' >$@

$(ELF): $(OBJS) $(BUILD)/sources linker.ld tools/link tools/ksyms
	@echo '  LINK $@'
	@tools/link $@ $(OBJS)

-include $(OBJS:.o=.d)

kernel: $(ELF)

# Compile SRC, which stands in for the source FILE, to OUT (tests/mutants/run).
stand-in:
	@$(if $(filter %.asm,$(FILE)),\
		$(call assemble,$(SRC),$(OUT)),\
		$(call compile,$(FILE),$(SRC),$(OUT)) -Wno-error)

# ---- images --------------------------------------------------------------------------------

$(ISO): $(ELF) boot/grub.cfg tools/iso
	@echo '  ISO  $@'
	@tools/iso $(ELF) $@

# Made once and kept: it is the user's from then on.
build/disk.img: | build/setup.stamp
	@echo '  DISK $@'
	@tools/image $@ size=64M

iso: $(ISO)
image: build/disk.img

# ---- run and test --------------------------------------------------------------------------

run: $(ISO) $(if $(DISK),,build/disk.img)
	@tools/qemu --iso $(ISO) --firmware $(FIRMWARE) --cpus $(CPUS) --mem $(MEM) \
		--disk '$(or $(DISK),build/disk.img)' --args '$(ARGS)' --log $(BUILD)/serial.log

gdb: $(ELF) $(if $(DISK),,build/disk.img)
	@tools/gdb $(ELF) --cpus $(CPUS) --mem $(MEM) --args '$(ARGS)' \
		--disk '$(or $(DISK),build/disk.img)'

test: $(ELF) $(ISO)
	@tests/all '$(T)'

# One processor and 1 GiB, unless the command line says otherwise.
given = $(if $(filter file,$(origin $(1))),$(2),$($(1)))
bench: $(ELF)
	@bench/run --cpus $(call given,CPUS,1) --mem $(call given,MEM,3G) --args '$(ARGS)' \
		--fs $(or $(FS),virtio)

lab: $(ELF)
	@tools/lab --kernel $(ELF) --cpus $(call given,CPUS,4) --mem $(call given,MEM,1G) \
		--args='$(ARGS)' $(ARGS_LAB)

lab-compare:
	@tools/lab --compare '$(A)' '$(B)'

sweep: $(ELF)
	@tools/sweep --kernel $(ELF) --jobs '$(JOBS)' --sweep '$(SWEEP)' --sshlogin '$(SSHLOGIN)' \
		--resume '$(RESUME)'

LINUX ?= linux-image-cloud-amd64
bench-linux: $(ELF)
	@bench/linux/run --mem $(call given,MEM,1G) --args '$(ARGS)' --package '$(LINUX)'

models: build/setup.stamp
	@tests/models/run

mutants: $(ELF)
	@tests/mutants/run $(T)

host-test: build/setup.stamp
	@prove -v tests/host/run tests/host/laboratory

lint: build/setup.stamp
	@prove tests/lint/selftest tests/lint/layers tests/lint/style

format: build/setup.stamp
	@find $(SOURCE_DIRS) -name '*.[ch]' | xargs -r clang-format -i

clean:
	@[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 \
		! -name 'newlib*' ! -name disk.img ! -name '*.stamp' -exec rm -rf {} +

distclean:
	@rm -rf $(BUILD) build
