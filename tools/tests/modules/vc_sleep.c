// SPDX-License-Identifier: GPL-2.0
/*
 * vc_sleep: calls the freeze and restore callbacks of the virtio crypto devices, as
 * the kernel does for the whole system. Only these devices are frozen, so their
 * users continue to run.
 *
 * Writing Y to the parameter "frozen" freezes the devices, writing N restores them.
 *
 * Writing a number to the parameter "freeze_ms" freezes each device for that many
 * milliseconds and then restores it. Locks prevent a function reset and binding,
 * unbinding and removal of drivers meanwhile, as during a system suspend.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm.h>

#define VENDOR	0x1af4
#define CRYPTO	0x1054

static bool is_frozen;

static int freeze_or_restore(struct pci_dev *pdev, bool freeze)
{
	struct device *dev = &pdev->dev;
	int ret = -ENODEV;

	device_lock(dev);
	if (dev->driver && dev->driver->pm)
		ret = freeze ? dev->driver->pm->freeze(dev) : dev->driver->pm->restore(dev);
	device_unlock(dev);
	return ret;
}

static int frozen_set(const char *text, const struct kernel_param *kp)
{
	struct pci_dev *pdev = NULL;
	bool freeze;
	int ret;

	ret = kstrtobool(text, &freeze);
	if (ret)
		return ret;
	if (freeze == is_frozen)
		return -EALREADY;
	while ((pdev = pci_get_device(VENDOR, CRYPTO, pdev))) {
		ret = freeze_or_restore(pdev, freeze);
		if (ret) {
			pci_dev_put(pdev);
			return ret;
		}
	}
	is_frozen = freeze;
	return 0;
}

static const struct kernel_param_ops frozen_ops = {
	.set = frozen_set,
	.get = param_get_bool,
};

module_param_cb(frozen, &frozen_ops, &is_frozen, 0644);
MODULE_PARM_DESC(frozen, "Y if the devices are frozen");

/*
 * Freezes a device, waits and restores it. The function holds the lock of the PCI
 * function all the time. It holds the lock of the virtio device only between the
 * callbacks, because the callbacks of the driver may take this lock.
 */
static int suspend_and_resume(struct pci_dev *pdev, unsigned int ms)
{
	struct device *dev = &pdev->dev, *child;
	int ret = -ENODEV;

	device_lock(dev);
	if (dev->driver && dev->driver->pm)
		ret = dev->driver->pm->freeze(dev);
	if (!ret) {
		child = device_find_any_child(dev);
		if (child)
			device_lock(child);
		msleep(ms);
		if (child)
			device_unlock(child);
		put_device(child);
		ret = dev->driver->pm->restore(dev);
	}
	device_unlock(dev);
	return ret;
}

static int freeze_ms_set(const char *text, const struct kernel_param *kp)
{
	struct pci_dev *pdev = NULL;
	unsigned int ms;
	int ret;

	ret = kstrtouint(text, 0, &ms);
	if (ret)
		return ret;
	ret = -ENODEV;
	while ((pdev = pci_get_device(VENDOR, CRYPTO, pdev))) {
		ret = suspend_and_resume(pdev, ms);
		if (ret) {
			pci_dev_put(pdev);
			break;
		}
	}
	return ret;
}

static const struct kernel_param_ops freeze_ms_ops = {
	.set = freeze_ms_set,
};

module_param_cb(freeze_ms, &freeze_ms_ops, NULL, 0200);
MODULE_PARM_DESC(freeze_ms, "Write the milliseconds for which to freeze each device");

static int __init vc_sleep_init(void)
{
	return 0;
}

static void __exit vc_sleep_exit(void)
{
}

module_init(vc_sleep_init);
module_exit(vc_sleep_exit);

MODULE_DESCRIPTION("Freezes and restores virtio crypto devices");
MODULE_LICENSE("GPL");
