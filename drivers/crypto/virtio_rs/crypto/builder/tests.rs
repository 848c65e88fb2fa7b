// SPDX-License-Identifier: GPL-2.0

//! Unit tests of the builder: the segments that a device gets, and the results that it writes.

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_builder)]
mod cases {
    use super::super::*;
    use crate::{
        bindings::helpers,
        crypto::{
            sync_request::SyncRequest,
            Area,
            DeviceResult,
            Finish,
            InFlightRequest,
            Submission,
            Submitted, //
        },
        support::{
            bh::BhDisabled,
            dma::VirtqueueBuffer, //
        },
    };

    const LIMITS: Limits = Limits {
        max_segment_size: usize::MAX,
        rescue_in_place: 0,
    };

    type Memory = Area<16, 8, 6>;

    type TestBuilder<'a> = Builder<'a, Test, SyncRequest<Test, 8>>;

    struct Test;

    impl Offload for Test {
        type Raw = SyncRequest<Self, 8>;
        type Tfm = ();
        /// True if the fallback must run the request.
        type State = bool;
        type Private = ();
        type Area = Memory;
        const SYNCHRONOUS: bool = true;

        fn finalize(
            use_fallback: &bool,
            request: &Request<'_, Self, Self::Raw>,
            device_result: &DeviceResult<'_>,
        ) -> Finish {
            if *use_fallback {
                return Finish::Fallback;
            }
            let mut output = [0; 8];
            assert!(device_result.copy_results(6, &mut [0]).is_err());
            assert!(device_result.copy_results(0, &mut output[..6]).is_ok());
            SyncRequest::set_output(request, &output);
            Finish::Done(device_result.result())
        }

        fn fall_back(_state: bool, request: Request<'_, Self, Self::Raw>) -> Option<Result> {
            let context = Self::Raw::context(request.as_raw()).cast::<u8>();
            let area = context.wrapping_add(RequestCtx::<Self>::AREA as usize);
            let is_wiped = |at: u32, len: u32| {
                (0..len).all(|index| {
                    // SAFETY: The parameters and the results are in the context. Wiping has initialised
                    // them.
                    unsafe { area.add((at + index) as usize).read() == 0 }
                })
            };
            let wiped = is_wiped(Memory::PARAMS_AT, Memory::PARAMS)
                // The request has 5 bytes of results and the status.
                && is_wiped(Memory::RESULT_AT, 6);
            Some(wiped.then_some(()).ok_or(EIO))
        }
    }

    /// Runs a request on the device `device`, a function of the segments that a device reads and the
    /// segments that a device writes. If `fallback` is true, the fallback runs the request afterwards.
    fn run(
        fallback: bool,
        describe: impl FnOnce(&mut TestBuilder<'_>),
        device: impl FnOnce(KVec<&[u8]>, KVec<&mut [u8]>),
    ) -> Result<[u8; 8]> {
        let queue = |mut inflight: InFlightRequest<()>| {
            let (lists, readable, writable) = inflight.sgs().unwrap().as_raw();
            let (mut reads, mut writes) = (KVec::new(), KVec::new());
            for index in 0..readable + writable {
                // SAFETY: `as_raw` has returned `readable + writable` lists, of one entry each. The entries
                // are of heap memory.
                let (bytes, len, last) = unsafe {
                    let list = *lists.add(index as usize);
                    let bytes = helpers::sg_virt(list).cast::<u8>();
                    (bytes, (*list).length as usize, helpers::sg_is_last(list))
                };
                assert!(last);
                if index < readable {
                    // SAFETY: The memory is valid as long as the request is in flight.
                    let bytes = unsafe { core::slice::from_raw_parts(bytes, len) };
                    reads.push(bytes, GFP_KERNEL).unwrap();
                } else {
                    // SAFETY: The memory is valid as long as the request is in flight, and has no other
                    // reference.
                    let bytes = unsafe { core::slice::from_raw_parts_mut(bytes, len) };
                    writes.push(bytes, GFP_KERNEL).unwrap();
                }
            }
            assert_eq!(inflight.segments(), readable + writable);
            device(reads, writes);
            let status = inflight.last_result_byte();
            let result = if status == 0 { Ok(()) } else { Err(EIO) };
            inflight.complete(result, &BhDisabled::disable());
            Submission::from(Ok(Submitted::QUEUED))
        };
        let request = SyncRequest::<Test, 8>::new()?;
        let describe = |builder: &mut TestBuilder<'_>| {
            describe(builder);
            fallback
        };
        let output = request
            .send(LIMITS, describe, queue)?
            .wait(1000, || (), |result| result)?;
        Ok(*output.as_ref())
    }

    #[test]
    fn descriptors_follow_the_order_of_calls_and_skip_empty_segments() {
        let output = run(
            false,
            |builder| {
                builder.read(b"header");
                builder.read_secret(b"");
                builder.read(b"iv");
                builder.write(2);
                builder.write(0);
                builder.write(3);
            },
            |reads, mut writes| {
                assert_eq!(&reads[..], &[&b"header"[..], b"iv"]);
                assert_eq!(writes.len(), 3);
                writes[0].copy_from_slice(b"ab");
                writes[1].copy_from_slice(b"cde");
                writes[2].copy_from_slice(&[0]);
            },
        );
        assert_eq!(output.unwrap(), *b"abcde\0\0\0");
    }

    #[test]
    fn the_results_are_poisoned_until_the_device_writes_them() {
        let output = run(
            false,
            |builder| {
                builder.read(b"header");
                builder.write(5);
            },
            |_, writes| {
                assert_eq!(writes[0], [0xff; 5]);
                assert_eq!(writes[1], [0xff]);
            },
        );
        // The poisoned status is an error.
        assert_eq!(output, Err(EIO));
    }

    #[test]
    fn secrets_and_results_are_wiped() {
        let output = run(
            true,
            |builder| {
                builder.read(b"header");
                builder.read_secret(b"the key");
                builder.write(5);
            },
            |_, mut writes| writes[0].copy_from_slice(b"a tag"),
        );
        assert!(output.is_ok());
    }

    #[test]
    fn a_segment_that_does_not_fit_is_an_error() {
        let assert_rejected = |describe: &dyn Fn(&mut TestBuilder<'_>)| {
            let device = |_: KVec<&[u8]>, _: KVec<&mut [u8]>| fail();
            assert_eq!(run(false, describe, device), Err(EINVAL));
        };
        // Too many bytes that the device reads.
        assert_rejected(&|builder| builder.read(&[0; 17]));
        assert_rejected(&|builder| {
            builder.read(&[0; 9]);
            builder.read_secret(&[0; 8]);
        });
        // Too many bytes that the device writes: the status makes them 9.
        assert_rejected(&|builder| builder.write(8));
        // Too many entries.
        assert_rejected(&|builder| (0..6).for_each(|_| builder.read(b"a")));
        // A segment that the device reads, after a segment that the device writes.
        assert_rejected(&|builder| {
            builder.write(1);
            builder.read(b"late");
        });
    }

    /// Fails the test: a rejected request was sent.
    fn fail() {
        assert!(false);
    }

    #[test]
    fn an_in_place_list_is_posted_twice() {
        let mut data = KVec::from_elem(7u8, 32, GFP_KERNEL).unwrap();
        let mut list = bindings::scatterlist::default();
        // SAFETY: The entry is valid, and the data is heap memory.
        unsafe { bindings::sg_init_one(&mut list, data.as_mut_ptr().cast(), 32) };
        let list = &raw mut list;
        // SAFETY: The list outlives the request.
        let range = unsafe { SgRange::new(list, 0, 32) };
        let output = run(
            false,
            |builder| {
                builder.read(b"header");
                builder.read_source(range);
                builder.write_destination(range);
                builder.write(5);
            },
            |reads, mut writes| {
                assert!(reads[1].as_ptr().cast_mut() == writes[0].as_mut_ptr());
                assert_eq!((reads[1].len(), writes[0].len()), (32, 32));
                writes[2][0] = 0;
            },
        );
        assert!(output.is_ok());
    }

    #[test]
    fn a_list_with_an_offset_takes_two_entries() {
        let mut data = KVec::from_elem(7u8, 64, GFP_KERNEL).unwrap();
        let mut list = [bindings::scatterlist::default(); 4];
        // SAFETY: The list has four entries.
        unsafe { bindings::sg_init_table(list.as_mut_ptr(), 4) };
        for (entry, bytes) in list.iter_mut().zip(data.chunks_exact_mut(16)) {
            // SAFETY: The entry is valid, and the bytes are heap memory.
            unsafe { helpers::sg_set_buf(entry, bytes.as_mut_ptr().cast(), 16) };
        }
        // SAFETY: The list outlives the request.
        let range = unsafe { SgRange::new(list.as_mut_ptr(), 4, 60) };
        let request = SyncRequest::<Test, 8>::new().unwrap();
        // The list takes two of the six entries of `Memory`. Header, result and status fit in the others.
        let describe = |builder: &mut TestBuilder<'_>| {
            builder.read(b"header");
            builder.read_source(range);
            builder.write_destination(range);
            builder.write(5);
            false
        };
        let queue = |inflight: InFlightRequest<()>| {
            assert_eq!(inflight.segments(), 1 + 4 + 4 + 2);
            inflight.complete(Ok(()), &BhDisabled::disable());
            Submission::from(Ok(Submitted::QUEUED))
        };
        let output = request
            .send(LIMITS, describe, queue)
            .and_then(|sent| sent.wait(1000, || (), |result| result));
        assert!(output.is_ok());
    }
}
