/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.h - disks of the emulator.
 */
#ifndef DRIVERS_VIRTIO_VIRTIO_BLK_H
#define DRIVERS_VIRTIO_VIRTIO_BLK_H

/*
 * Find all virtio disks, register each as vda, vdb, ... in PCI order; returns how many. One that
 * cannot be used is named in a line with the reason. Once at boot, in a thread, when the other CPUs
 * are up: each gets a queue of its own.
 */
int virtio_blk_probe_all(void);

#endif
