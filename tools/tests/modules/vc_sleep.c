// SPDX-License-Identifier: GPL-2.0
/*
 * vc_sleep: has the virtio crypto devices sleep and wake up, as the kernel does
 * for the whole machine, but nothing else: those who use them go on meanwhile.
 *
 * What is written to the parameter "asleep" is whether they are to.
 *
 * A number written to the parameter "nap" suspends each device for so many
 * milliseconds and resumes it. Meanwhile the function is not reset, and no driver
 * is bound, unbound or removed, as while the machine sleeps.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm.h>

#define VENDOR	0x1af4
#define CRYPTO	0x1054

static bool asleep;

static int change(struct pci_dev *pdev, bool to_sleep)
{
	struct device *dev = &pdev->dev;
	int ret = -ENODEV;

	device_lock(dev);
	if (dev->driver && dev->driver->pm)
		ret = to_sleep ? dev->driver->pm->freeze(dev) : dev->driver->pm->restore(dev);
	device_unlock(dev);
	return ret;
}

static int asleep_set(const char *text, const struct kernel_param *kp)
{
	struct pci_dev *pdev = NULL;
	bool to_sleep;
	int ret;

	ret = kstrtobool(text, &to_sleep);
	if (ret)
		return ret;
	if (to_sleep == asleep)
		return -EALREADY;
	while ((pdev = pci_get_device(VENDOR, CRYPTO, pdev))) {
		ret = change(pdev, to_sleep);
		if (ret) {
			pci_dev_put(pdev);
			return ret;
		}
	}
	asleep = to_sleep;
	return 0;
}

static const struct kernel_param_ops asleep_ops = {
	.set = asleep_set,
	.get = param_get_bool,
};

module_param_cb(asleep, &asleep_ops, &asleep, 0644);
MODULE_PARM_DESC(asleep, "Whether the devices sleep");

/*
 * Suspends and resumes a device. The lock of the function is held all the time, that
 * of its virtio device only in between: the driver's callbacks may take it.
 */
static int take_nap(struct pci_dev *pdev, unsigned int ms)
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

static int nap_set(const char *text, const struct kernel_param *kp)
{
	struct pci_dev *pdev = NULL;
	unsigned int ms;
	int ret;

	ret = kstrtouint(text, 0, &ms);
	if (ret)
		return ret;
	ret = -ENODEV;
	while ((pdev = pci_get_device(VENDOR, CRYPTO, pdev))) {
		ret = take_nap(pdev, ms);
		if (ret) {
			pci_dev_put(pdev);
			break;
		}
	}
	return ret;
}

static const struct kernel_param_ops nap_ops = {
	.set = nap_set,
};

module_param_cb(nap, &nap_ops, NULL, 0200);
MODULE_PARM_DESC(nap, "Milliseconds for which the devices sleep once");

static int __init vc_sleep_init(void)
{
	return 0;
}

static void __exit vc_sleep_exit(void)
{
}

module_init(vc_sleep_init);
module_exit(vc_sleep_exit);

MODULE_DESCRIPTION("Has virtio crypto devices sleep and wake up");
MODULE_LICENSE("GPL");
