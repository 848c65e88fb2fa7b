// SPDX-License-Identifier: GPL-2.0

//! The virtio driver: probe, remove, suspend and resume.

use crate::{
    algorithms::Registry,
    settings::Settings,
    support::workqueue::ReclaimWorkqueue,
    transport::device::{
        show,
        Device,
        DeviceCallbacks, //
    },
    virtio,
    wire::feature, //
};
use core::pin::Pin;
use kernel::{
    debugfs,
    device::Core,
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};

/// The driver.
pub(crate) struct Driver;

/// The data that all devices share.
///
/// Each device also has a reference to the workqueue. Dropping the last reference waits for the
/// workqueue, which the `exit` callback of a transform must not do. This structure therefore keeps
/// a reference until the driver is unregistered.
pub(crate) struct Shared {
    registry: Arc<Registry>,
    workqueue: Arc<ReclaimWorkqueue>,
}

/// The driver's data of a device.
#[pin_data]
pub(crate) struct DeviceData {
    registry: Arc<Registry>,
    device: Arc<Device>,
    /// The device's folder in debugfs.
    _debugfs_dir: Pin<KBox<debugfs::Scope<Arc<Device>>>>,
}

impl virtio::Driver for Driver {
    type Data<'bound> = DeviceData;
    type Shared = Shared;

    const ID_TABLE: virtio::IdTable = &crate::DEVICE_TABLE;
    const FEATURES: &'static [u32] = &feature::ALL;
    const FEATURE_DEPS: &'static [(u32, u32)] = &feature::REQUIRES;

    fn init_shared() -> Result<Arc<Shared>> {
        use crate::module_parameters as params;

        let settings = Settings::new(
            params::priority.value(),
            params::prefer.value(),
            params::timeout_ms.value(),
            params::stateless.value(),
            params::services.value(),
        )?
        .with_rescue_in_place(params::rescue_in_place.value())
        .with_public_keys(
            params::prefer_public_keys.value(),
            params::ecdsa_number.value(),
        )?;
        let shared = Shared {
            registry: Registry::create(crate::this_module(), settings)?,
            workqueue: Arc::new(ReclaimWorkqueue::new(c"virtio_crypto_rs")?, GFP_KERNEL)?,
        };
        Ok(Arc::new(shared, GFP_KERNEL)?)
    }

    fn exit_shared(shared: &Arc<Shared>) {
        shared.registry.disable_sync();
        // RCU callbacks drop bindings of keys to devices. Each binding has a reference to its
        // device, and each device has a reference to the workqueue. Wait for the callbacks, so that
        // `shared` has the last reference.
        rcu::rcu_barrier();
    }

    fn probe<'bound>(
        dev: &'bound virtio::Device<Core<'_>>,
        shared: &Arc<Shared>,
    ) -> impl PinInit<DeviceData, Error> + 'bound {
        let registry = shared.registry.clone();
        let workqueue = shared.workqueue.clone();
        pin_init::pin_init_scope(move || {
            let device = Device::probe(dev, registry.clone(), registry.settings(), workqueue)?;
            let debugfs_dir = KBox::pin_init(
                registry.debugfs().scope(
                    Ok::<_, Error>(device.clone()),
                    dev.as_ref().name(),
                    |device, dir| {
                        dir.read_callback_file(c"status", device, &show);
                    },
                ),
                GFP_KERNEL,
            )?;
            // Add the device last. An error after `add` would have to remove the device again.
            registry.add(&device)?;
            Ok(try_pin_init!(DeviceData { registry, device, _debugfs_dir: debugfs_dir } ? Error))
        })
    }

    fn start(_dev: &virtio::Device<Core<'_>>, data: Pin<&DeviceData>) {
        data.device.start();
        // If the device is ready, register its algorithms now. A program can then use them as soon
        // as it has loaded the module.
        data.update_registrations();
    }

    fn config_changed(data: Pin<&DeviceData>) {
        data.device.queue();
    }

    fn freeze(_dev: &virtio::Device<Core<'_>>, data: Pin<&DeviceData>) {
        data.device.freeze();
    }

    fn restore(_dev: &virtio::Device<Core<'_>>, data: Pin<&DeviceData>) {
        data.device.restore();
    }

    fn unbind(_dev: &virtio::Device<Core<'_>>, data: Pin<&DeviceData>) {
        data.registry.remove(&data.device);
        data.device.close();
        data.update_registrations();
    }
}

impl DeviceData {
    /// Updates the registered algorithms after a change of the device. If the update fails, the
    /// registry's work item repeats the update.
    fn update_registrations(&self) {
        if self.registry.update().is_err() {
            self.registry.device_changed();
        }
    }
}
