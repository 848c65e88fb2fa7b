// SPDX-License-Identifier: GPL-2.0
//! The worker of a queue: a thread that runs until the process ends.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

use vhost_device_crypto::service::Service;

use crate::instrument::{Instrument, Queue};

/// User data of the epoll events of a worker.
const KICK: u64 = 0;
const TIMER: u64 = 1;

/// Starts the worker of a queue. Returns the eventfd that kicks the worker.
pub(super) fn start(service: Arc<Service<Instrument>>, index: usize) -> io::Result<EventFd> {
    let kick = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
    let worker_kick = kick.try_clone()?;
    let epoll = Epoll::new()?;
    let watch = |descriptor, event| {
        epoll.ctl(ControlOperation::Add, descriptor, EpollEvent::new(EventSet::IN, event))
    };
    watch(worker_kick.as_raw_fd(), KICK)?;
    let queue = service.queues.get(index).ok_or(io::ErrorKind::InvalidInput)?;
    queue.attach_worker(|timer| watch(timer.as_raw_fd(), TIMER))?;
    let work = move || loop {
        if let Err(error) = wait(&epoll, &worker_kick, &service.queues[index]) {
            tracing::error!("queue {}: worker failed: {error}", service.queues[index].id());
            return;
        }
    };
    thread::Builder::new().name(format!("queue-{index}")).spawn(work)?;
    Ok(kick)
}

fn wait(epoll: &Epoll, kick: &EventFd, queue: &Queue) -> io::Result<()> {
    let mut events = [EpollEvent::default(); 2];
    let count = match epoll.wait(-1, &mut events) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
        count => count?,
    };
    for event in &events[..count] {
        match event.data() {
            KICK => {
                // The read cannot fail: only this thread reads the eventfd.
                let _ = kick.read();
                queue.serve();
            }
            _ => queue.timer_expired(),
        }
    }
    Ok(())
}
