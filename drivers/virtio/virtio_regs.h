/* SPDX-License-Identifier: MIT */
/*
 * virtio_regs.h - what driver and device say to each other, byte by byte (virtio 1.1).
 *
 * Every field names its writer: D the driver, d the device. A field of the other side is read with
 * READ_ONCE, or through a volatile pointer where it is a register. All is little-endian, as we are.
 */
#ifndef DRIVERS_VIRTIO_VIRTIO_REGS_H
#define DRIVERS_VIRTIO_VIRTIO_REGS_H

#include "kernel/lib/types.h"

#define VIRTIO_PCI_VENDOR	    0x1af4
#define VIRTIO_PCI_BLK_TRANSITIONAL 0x1001 /* speaks the old protocol too; we do not */
#define VIRTIO_PCI_BLK		    0x1042

/* ---- PCI capabilities (4.1.4): where the registers are ------------------------------------- */

struct virtio_pci_cap {
	u8 cap_vndr;   /* d: 9 */
	u8 cap_next;   /* d */
	u8 cap_len;    /* d */
	u8 cfg_type;   /* d: VIRTIO_CAP_* */
	u8 bar;	       /* d: 0..5 */
	u8 padding[3]; /* d */
	u32 offset;    /* d: within the BAR */
	u32 length;    /* d */
		       /* VIRTIO_CAP_NOTIFY only: u32 notify_off_multiplier (d) */
};
_Static_assert(sizeof(struct virtio_pci_cap) == 16, "virtio 4.1.4");

#define VIRTIO_CAP_COMMON 1
#define VIRTIO_CAP_NOTIFY 2
#define VIRTIO_CAP_ISR	  3
#define VIRTIO_CAP_DEVICE 4

struct virtio_pci_common_cfg {
	u32 device_feature_select; /* D: which 32 bits device_feature shows */
	u32 device_feature;	   /* d */
	u32 driver_feature_select; /* D */
	u32 driver_feature;	   /* D */
	u16 msix_config;	   /* D; reads back VIRTIO_NO_VECTOR if the device could not */
	u16 num_queues;		   /* d */
	u8 device_status;	   /* D sets bits, writes 0 to reset; d sets NEEDS_RESET */
	u8 config_generation;	   /* d: changes with the device configuration */
	u16 queue_select;	   /* D: which queue the fields below are of */
	u16 queue_size;		   /* d: the greatest; D: what it will be */
	u16 queue_msix_vector;	   /* D; reads back VIRTIO_NO_VECTOR if the device could not */
	u16 queue_enable;	   /* D */
	u16 queue_notify_off;	   /* d */
	u64 queue_desc;		   /* D: physical addresses of the three parts */
	u64 queue_driver;	   /* D */
	u64 queue_device;	   /* D */
};
_Static_assert(sizeof(struct virtio_pci_common_cfg) == 56, "virtio 4.1.4.3");

#define VIRTIO_NO_VECTOR 0xffff

#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER	  2
#define VIRTIO_STATUS_DRIVER_OK	  4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED	  128

#define VIRTIO_F_INDIRECT_DESC (1UL << 28)
#define VIRTIO_F_EVENT_IDX     (1UL << 29)
#define VIRTIO_F_VERSION_1     (1UL << 32)

/* ---- split virtqueue (2.6) ----------------------------------------------------------------- */

struct vring_desc {
	u64 addr;  /* D */
	u32 len;   /* D */
	u16 flags; /* D: VRING_DESC_* */
	u16 next;  /* D: valid with VRING_DESC_NEXT */
};
_Static_assert(sizeof(struct vring_desc) == 16, "virtio 2.6.5");

#define VRING_DESC_NEXT	    1
#define VRING_DESC_WRITE    2 /* the device writes this memory; else it reads it */
#define VRING_DESC_INDIRECT 4 /* addr is a table of descriptors */

struct vring_avail {
	u16 flags;  /* D: unused with EVENT_IDX */
	u16 idx;    /* D: where the next head will be put, counts modulo 2^16 */
	u16 ring[]; /* D: heads; then u16 used_event (D): interrupt when used.idx passes it */
};
#define VRING_AVAIL_NO_INTERRUPT 1

struct vring_used_elem {
	u32 id;	 /* d: head of the finished chain */
	u32 len; /* d: bytes written */
};

struct vring_used {
	u16 flags;		       /* d: VRING_USED_NO_NOTIFY; unused with EVENT_IDX */
	u16 idx;		       /* d: counts modulo 2^16 */
	struct vring_used_elem ring[]; /* d; then u16 avail_event (d): kick when idx passes it */
};
#define VRING_USED_NO_NOTIFY 1

/* ---- virtio-blk (5.2) ---------------------------------------------------------------------- */

#define VIRTIO_BLK_F_SIZE_MAX	  (1UL << 1)
#define VIRTIO_BLK_F_SEG_MAX	  (1UL << 2)
#define VIRTIO_BLK_F_RO		  (1UL << 5)
#define VIRTIO_BLK_F_BLK_SIZE	  (1UL << 6)
#define VIRTIO_BLK_F_FLUSH	  (1UL << 9)
#define VIRTIO_BLK_F_CONFIG_WCE	  (1UL << 11) /* never taken: the cache mode is the host's */
#define VIRTIO_BLK_F_MQ		  (1UL << 12)
#define VIRTIO_BLK_F_DISCARD	  (1UL << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (1UL << 14)

/* All written by the device; a field counts only if its feature was negotiated. */
struct virtio_blk_config {
	u64 capacity; /* sectors of 512 */
	u32 size_max; /* SIZE_MAX: bytes of one segment */
	u32 seg_max;  /* SEG_MAX: segments of one request */
	u16 cylinders;
	u8 heads, sectors;
	u32 blk_size; /* BLK_SIZE */
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size;
	u32 opt_io_size;
	u8 writeback, unused0;
	u16 num_queues;		 /* MQ */
	u32 max_discard_sectors; /* DISCARD */
	u32 max_discard_seg;
	u32 discard_sector_alignment;
	u32 max_write_zeroes_sectors; /* WRITE_ZEROES */
	u32 max_write_zeroes_seg;
	u8 write_zeroes_may_unmap, unused1[3];
};
_Static_assert(offsetof(struct virtio_blk_config, write_zeroes_may_unmap) == 56, "virtio 5.2.4");

#define VIRTIO_BLK_T_IN		  0
#define VIRTIO_BLK_T_OUT	  1
#define VIRTIO_BLK_T_FLUSH	  4
#define VIRTIO_BLK_T_GET_ID	  8
#define VIRTIO_BLK_T_DISCARD	  11
#define VIRTIO_BLK_T_WRITE_ZEROES 13

#define VIRTIO_BLK_ID_BYTES 20

/* Before the data (D or d) and the status byte (d). */
struct virtio_blk_req {
	u32 type;     /* D */
	u32 reserved; /* D: 0 */
	u64 sector;   /* D: 512-byte units; 0 unless IN or OUT */
};
_Static_assert(sizeof(struct virtio_blk_req) == 16, "virtio 5.2.6");

/* The data of DISCARD and WRITE_ZEROES. */
struct virtio_blk_range {
	u64 sector;	 /* D */
	u32 num_sectors; /* D */
	u32 flags;	 /* D: bit 0: WRITE_ZEROES may unmap */
};
_Static_assert(sizeof(struct virtio_blk_range) == 16, "virtio 5.2.6");

#define VIRTIO_BLK_S_OK	    0
#define VIRTIO_BLK_S_IOERR  1
#define VIRTIO_BLK_S_UNSUPP 2
#define VIRTIO_BLK_S_NONE   0xff /* ours: not written by the device */

#endif
