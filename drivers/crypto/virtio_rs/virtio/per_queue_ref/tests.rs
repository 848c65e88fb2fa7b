// SPDX-License-Identifier: GPL-2.0

//! Tests of values that are counted per queue.

#[kernel::macros::kunit_tests(virtio_crypto_rs_virtio_per_queue_ref)]
mod cases {
    use super::super::{
        super::BufferStatus,
        *, //
    };
    use crate::support::dma::{
        SgLists,
        VirtqueueBuffer, //
    };
    use kernel::{
        ffi::c_void,
        str::CString,
        sync::rcu, //
    };

    /// The type of the queues' buffers. It has no value, because the tests add no buffers.
    enum Buffer {}

    // SAFETY: The type has no value.
    unsafe impl VirtqueueBuffer for Buffer {
        fn sgs(&mut self) -> Result<&mut SgLists> {
            match *self {}
        }

        fn into_raw(self) -> NonNull<c_void> {
            match self {}
        }

        unsafe fn from_raw(_raw: NonNull<c_void>) -> Self {
            unreachable!()
        }
    }

    struct NoBuffers;

    impl Handler for NoBuffers {
        type Buffer = Buffer;
        type State = ();

        fn handle_used(_queue: &Queue<Self>, _bh: &BhDisabled) {}

        fn reclaim(_queue: &Queue<Self>, _buffer: Buffer, _status: BufferStatus, _bh: &BhDisabled) {
        }

        fn queue_reset(_queue: &Queue<Self>, _bh: &BhDisabled) {}
    }

    /// Counts the calls of [`Counted::unused`] and the drops of a value.
    struct Log {
        unused: Atomic<usize>,
        released: Atomic<usize>,
    }

    impl Log {
        fn new() -> Arc<Self> {
            let log = Self {
                unused: Atomic::new(0),
                released: Atomic::new(0),
            };
            Arc::new(log, GFP_KERNEL).unwrap()
        }

        fn unused(&self) -> usize {
            self.unused.load(Relaxed)
        }
    }

    struct Value(Arc<Log>);

    impl Counted for Value {
        type Handler = NoBuffers;

        fn unused(&self) {
            self.0.unused.fetch_add(1, Relaxed);
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            self.0.released.fetch_add(1, Relaxed);
        }
    }

    fn queues(count: usize) -> KVec<Arc<Queue<NoBuffers>>> {
        let mut queues = KVec::new();
        for index in 0..count {
            let name = CString::try_from_fmt(fmt!("{index}")).unwrap();
            let queue = Arc::pin_init(Queue::new(name, index, ()), GFP_KERNEL).unwrap();
            queues.push(queue, GFP_KERNEL).unwrap();
        }
        queues
    }

    fn begin(queue: &Queue<NoBuffers>, value: &Shared<Value>) -> Option<Use<Value>> {
        let bh = BhDisabled::disable();
        let mut locked = queue.lock(&bh);
        Use::begin(value, &mut locked)
    }

    fn end(queue: &Queue<NoBuffers>, value_use: Use<Value>) {
        let bh = BhDisabled::disable();
        let mut locked = queue.lock(&bh);
        let last_use = value_use.end(&mut locked);
        drop(locked);
        drop(last_use);
    }

    #[test]
    fn a_value_without_uses_ends_with_its_owner() {
        let (queues, log) = (queues(2), Log::new());
        let owner = PerQueueRef::new(&queues, Value(log.clone())).unwrap();
        end(&queues[0], begin(&queues[0], &owner).unwrap());
        assert_eq!(log.unused(), 0);
        drop(owner);
        assert_eq!(log.unused(), 1);
        rcu::rcu_barrier();
        assert_eq!(log.released.load(Relaxed), 1);
    }

    #[test]
    fn the_last_use_on_any_queue_ends_a_value() {
        let (queues, log) = (queues(3), Log::new());
        let owner = PerQueueRef::new(&queues, Value(log.clone())).unwrap();
        let first = begin(&queues[0], &owner).unwrap();
        let second = begin(&queues[2], &owner).unwrap();
        let third = begin(&queues[2], &owner).unwrap();
        drop(owner);
        end(&queues[2], second);
        end(&queues[0], first);
        rcu::rcu_barrier();
        assert_eq!((log.unused(), log.released.load(Relaxed)), (0, 0));
        end(&queues[2], third);
        assert_eq!(log.unused(), 1);
        rcu::rcu_barrier();
        assert_eq!((log.unused(), log.released.load(Relaxed)), (1, 1));
    }

    #[test]
    fn a_value_without_owner_has_no_new_uses() {
        let (queues, log) = (queues(2), Log::new());
        let published = Published::new();
        let owner = PerQueueRef::new(&queues, Value(log.clone())).unwrap();
        assert!(published.replace(Some(owner)).is_none());

        let bh = BhDisabled::disable();
        let value = published.get(&bh).unwrap();
        let first = begin(&queues[1], value).unwrap();
        drop(published.replace(None));
        assert!(published.get(&bh).is_none());
        // A thread that has got the value before may still read it.
        assert!(begin(&queues[0], value).is_none() && begin(&queues[1], value).is_none());
        assert_eq!(value.0.unused(), 0);
        drop(bh);
        end(&queues[1], first);
        assert_eq!(log.unused(), 1);
        rcu::rcu_barrier();
    }

    #[test]
    fn a_value_remembers_that_it_was_used() {
        let (queues, log) = (queues(2), Log::new());
        let owner = PerQueueRef::new(&queues, Value(log.clone())).unwrap();
        let is_used = || owner.is_used(&BhDisabled::disable());
        assert!(!is_used());
        let first = begin(&queues[1], &owner).unwrap();
        assert!(is_used());
        end(&queues[1], first);
        assert!(is_used());
        drop(owner);
        rcu::rcu_barrier();
    }

    #[test]
    fn a_value_cannot_be_used_on_other_queues() {
        let (queues, others, log) = (queues(1), queues(2), Log::new());
        let owner = PerQueueRef::new(&queues, Value(log.clone())).unwrap();
        assert!(begin(&others[0], &owner).is_none() && begin(&others[1], &owner).is_none());
        let without_queues = PerQueueRef::new(&[], Value(log.clone())).unwrap();
        assert!(begin(&queues[0], &without_queues).is_none());
        drop((owner, without_queues));
        assert_eq!(log.unused(), 2);
        rcu::rcu_barrier();
    }
}
