/* SPDX-License-Identifier: MIT */
/*
 * virtio_pci.h - a modern virtio device behind PCI: its registers, features and queues.
 */
#ifndef DRIVERS_VIRTIO_VIRTIO_PCI_H
#define DRIVERS_VIRTIO_VIRTIO_PCI_H

#include "drivers/virtio/pci.h"
#include "drivers/virtio/virtio_regs.h"
#include "drivers/virtio/virtqueue.h"

/* s: set by virtio_pci_init()   n: by virtio_negotiate() */
struct virtio_device {
	struct pci_func pci;			       /* s */
	volatile struct virtio_pci_common_cfg *common; /* s */
	volatile u8 *notify;			       /* s */
	u32 notify_len, notify_multiplier;	       /* s */
	const volatile u8 *config;		       /* s: of the device's own kind; or NULL */
	u32 config_len;				       /* s */
	u64 features;				       /* n */
};

/*
 * All of these run once at boot, in a thread. 0 or a negative error, and the line that says why was
 * printed. After any failure call virtio_pci_reset().
 */
/* Find and map the registers of @pci, switch it and its MSI-X on, reset it, greet it. */
int virtio_pci_init(struct virtio_device *v, const struct pci_func *pci);
/* Take those of @wanted that are offered; VERSION_1 must be. */
int virtio_negotiate(struct virtio_device *v, u64 wanted);
/* Make queue @index and route its interrupt by MSI-X entry @msix; -EINVAL if the device's queue
 * makes no sense. @name is kept. */
int virtio_setup_queue(struct virtio_device *v, struct virtqueue *vq, u16 index, u16 msix,
		       const char *name);
void virtio_start(struct virtio_device *v);
/* The device forgets all it was told and lets go of memory. */
void virtio_pci_reset(struct virtio_device *v);

/* A field of the device's configuration, 0 if the device has none there. */
u16 virtio_config16(const struct virtio_device *v, unsigned int offset);
u32 virtio_config32(const struct virtio_device *v, unsigned int offset);
u64 virtio_config64(const struct virtio_device *v, unsigned int offset);

#endif
