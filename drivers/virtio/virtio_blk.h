/* SPDX-License-Identifier: MIT */
/*
 * virtio_blk.h - disks of the emulator.
 */
#ifndef DRIVERS_VIRTIO_VIRTIO_BLK_H
#define DRIVERS_VIRTIO_VIRTIO_BLK_H

/*
 * Find all virtio disks, register each as vda, vdb, ... in PCI order; returns how many. One that
 * cannot be used is named in a line with the reason. Once at boot, after the other CPUs came up (each
 * gets a queue of its own), in a thread with interrupts on.
 */
int virtio_blk_probe_all(void);

#endif
