/* SPDX-License-Identifier: MIT */
/*
 * types.h - the words every file uses.
 *
 * Rank 0: compiles in the kernel and on the host.
 */
#ifndef KERNEL_LIB_TYPES_H
#define KERNEL_LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

typedef u64 paddr_t;  /* physical address, bytes */
typedef u64 vaddr_t;  /* virtual address, bytes */
typedef u64 pgoff_t;  /* offset in a file, pages */
typedef u64 sector_t; /* offset on a device, 512-byte units whatever the device's own */
typedef u64 ktime_t;  /* nanoseconds */

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096UL
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define SECTOR_SHIFT 9
#define SECTOR_SIZE  512U

#define ARRAY_SIZE(a)	   (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a)	   (((x) + ((a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a)   ((x) & ~((__typeof__(x))(a)-1))
#define DIV_ROUND_UP(x, n) (((x) + (n)-1) / (n))
#define PAGE_ALIGN(x)	   ALIGN_UP((u64)(x), PAGE_SIZE)

#define min(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a < _b ? _a : _b;                                                                 \
	})
#define max(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) _a = (a);                                                            \
		__typeof__(b) _b = (b);                                                            \
		_a > _b ? _a : _b;                                                                 \
	})

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)      __builtin_expect(!!(x), 1)
#define unlikely(x)    __builtin_expect(!!(x), 0)
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __noreturn     __attribute__((noreturn))
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __packed /* newlib's <sys/cdefs.h> means the same by them */
#define __packed     __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#endif
#define barrier() __asm__ volatile("" ::: "memory")

/* One untorn access the compiler may neither repeat nor drop. */
#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#endif
